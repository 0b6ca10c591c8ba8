/* Shapes and tensors: plain data, row-major, contiguous, last axis fastest.
 *
 * A tensor does not own its data: memory belongs to an arena, a plan, a mapped file or the caller.
 */
#ifndef REEL_TENSOR_TENSOR_H
#define REEL_TENSOR_TENSOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/env.h"
#include "tensor/dtype.h"

enum { REEL_MAX_RANK = 6, REEL_SHAPE_TEXT = 160 };

typedef struct reel_shape {
    int rank;                   /* 0 (a scalar) to REEL_MAX_RANK */
    int unused;                 /* 0: no padding, so that attributes can be compared by bytes */
    int64_t dim[REEL_MAX_RANK]; /* >= 0; entries from rank on are 0 */
} reel_shape;

typedef struct reel_tensor {
    reel_dtype dtype;
    reel_shape shape;
    void *data; /* NULL where there is none (an absent operand, a shape rule) */
} reel_tensor;

/* A shape from its dimensions: REEL_SHAPE(B, T, C). At least one argument; at most six. */
#define REEL_SHAPE(...)                                                                            \
    reel_shape_of((int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)),                       \
                  (const int64_t[]){__VA_ARGS__})
reel_shape reel_shape_of(int rank, const int64_t *dim);

/* Fails with REEL_E_SHAPE when rank or a dimension is out of range or the element count or its
 * size in bytes overflows int64_t. */
REEL_MUST_USE reel_status reel_shape_check(reel_env *env, const reel_shape *shape);

/* Elements: the product of all dimensions, 1 for a scalar. The shape must have passed the check. */
int64_t reel_shape_count(const reel_shape *shape);
/* Product of the dimensions [from, to). */
int64_t reel_shape_span(const reel_shape *shape, int from, int to);
/* Rows when the last axis is a row: count / last dimension (1 for a scalar; 0 if the last is 0). */
int64_t reel_shape_rows(const reel_shape *shape);
/* The last dimension, 1 for a scalar. */
int64_t reel_shape_last(const reel_shape *shape);
bool reel_shape_equal(const reel_shape *a, const reel_shape *b);
/* "[2,1024,384]" into text; returns text, so that it fits into a message. */
const char *reel_shape_text(const reel_shape *shape, char text[REEL_SHAPE_TEXT]);
/* The same in memory that lives to the end of the full expression: for messages. */
#define REEL_SHAPE_STR(shape) reel_shape_text((shape), (char[REEL_SHAPE_TEXT]){0})

static inline int64_t reel_tensor_count(const reel_tensor *t) {
    return reel_shape_count(&t->shape);
}
static inline int64_t reel_tensor_bytes(const reel_tensor *t) {
    return reel_dtype_size(t->dtype, reel_shape_count(&t->shape));
}

#endif
