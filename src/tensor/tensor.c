#include "tensor/tensor.h"

#include <assert.h>
#include <stdio.h>

reel_shape reel_shape_of(int rank, const int64_t *dim) {
    assert(rank >= 0 && rank <= REEL_MAX_RANK);
    reel_shape shape = {.rank = rank};
    for (int i = 0; i < rank; i++)
        shape.dim[i] = dim[i];
    return shape;
}

reel_status reel_shape_check(reel_env *env, const reel_shape *shape) {
    if (shape->rank < 0 || shape->rank > REEL_MAX_RANK)
        return reel_fail(env, REEL_E_SHAPE, "a shape has 0 to %d axes, got %d", REEL_MAX_RANK,
                         shape->rank);
    /* A zero anywhere makes the product 0, but [2^62,2^62,0] is still refused: spans of it are
     * computed too, and they must not overflow. Hence the product over max(dim, 1). */
    const int64_t widest_bytes = 8;
    int64_t bytes = widest_bytes;
    for (int i = 0; i < shape->rank; i++) {
        const int64_t dim = shape->dim[i];
        if (dim < 0)
            return reel_fail(env, REEL_E_SHAPE, "shape %s: axis %d is negative",
                             REEL_SHAPE_STR(shape), i);
        if (__builtin_mul_overflow(bytes, dim > 0 ? dim : 1, &bytes))
            return reel_fail(env, REEL_E_SHAPE, "shape %s: more elements than can be counted",
                             REEL_SHAPE_STR(shape));
    }
    return REEL_OK;
}

int64_t reel_shape_count(const reel_shape *shape) {
    return reel_shape_span(shape, 0, shape->rank);
}

int64_t reel_shape_span(const reel_shape *shape, int from, int to) {
    int64_t n = 1;
    for (int i = from; i < to; i++)
        n *= shape->dim[i];
    return n;
}

int64_t reel_shape_rows(const reel_shape *shape) {
    if (shape->rank == 0) return 1;
    if (shape->dim[shape->rank - 1] == 0) return 0;
    return reel_shape_span(shape, 0, shape->rank - 1);
}

int64_t reel_shape_last(const reel_shape *shape) {
    return shape->rank == 0 ? 1 : shape->dim[shape->rank - 1];
}

bool reel_shape_equal(const reel_shape *a, const reel_shape *b) {
    if (a->rank != b->rank) return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i]) return false;
    return true;
}

const char *reel_shape_text(const reel_shape *shape, char text[REEL_SHAPE_TEXT]) {
    /* Six dimensions of at most 20 characters, five commas, two brackets: 128 of 160. */
    const int rank = shape->rank > REEL_MAX_RANK ? REEL_MAX_RANK : shape->rank;
    size_t n = 0;
    text[n++] = '[';
    for (int i = 0; i < rank; i++)
        n += (size_t)snprintf(text + n, REEL_SHAPE_TEXT - n, i ? ",%lld" : "%lld",
                              (long long)shape->dim[i]);
    text[n++] = ']';
    text[n] = '\0';
    return text;
}
