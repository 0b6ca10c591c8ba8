#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>

static void test_memory_figures_are_of_this_process(void **state) {
    (void)state;
    const int64_t before = reel_memory_resident();
    if (before < 0) skip(); /* no /proc */
    const size_t bytes = 64u << 20;
    char *block = malloc(bytes);
    assert_non_null(block);
    for (volatile char *at = block; at < block + bytes; at += 4096)
        *at = 1;
    const int64_t with = reel_memory_resident();
    free(block);
    assert_true(with - before > 60 << 20);
    assert_true(reel_memory_peak() >= with - (1 << 20)); /* the kernel sums over threads lazily */
    assert_true(reel_memory_available() > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_figures_are_of_this_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
