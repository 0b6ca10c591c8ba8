#include "bench.h"

void bench_train(bench *b) {
    (void)b;
}
