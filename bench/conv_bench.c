#include "bench.h"

void bench_conv(bench *b) {
    (void)b;
}
