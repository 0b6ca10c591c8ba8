#include "bench.h"

void bench_memory(bench *b) {
    (void)b;
}
