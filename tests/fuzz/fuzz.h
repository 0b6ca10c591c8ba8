/* What a fuzz target is: libFuzzer's entry point, and a way to say that a promise was broken.
 * With -fsanitize=fuzzer libFuzzer calls it; otherwise replay.c does, over the corpus.
 */
#ifndef REEL_TESTS_FUZZ_H
#define REEL_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Always returns 0. data is borrowed. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Stops at once, in release builds too, so that both drivers keep the input. */
#define PROMISE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) __builtin_trap();                                                        \
    } while (0)

#endif
