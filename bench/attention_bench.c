#include "bench.h"

void bench_attention(bench *b) {
    (void)b;
}
