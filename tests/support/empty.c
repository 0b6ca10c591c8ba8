/* Keeps the support library non-empty. */
typedef int reel_tests_support_is_not_empty;
