/* concat and split: parts along an axis into one value, and one value into parts. Each is the
 * other's gradient. */
#ifndef REEL_OPS_CONCAT_H
#define REEL_OPS_CONCAT_H

#include "ops/ops.h"

enum { REEL_MAX_PARTS = 8 };

/* attr of concat and split. */
typedef struct reel_concat_attr {
    int32_t axis, n;
    int64_t size[REEL_MAX_PARTS]; /* of each part along axis; from n on 0 */
} reel_concat_attr;

/* x[0..n) of one dtype, alike but along axis -> one value, the parts in order. n in [1,8]; with one
 * part that part itself. Fails the tape with REEL_E_SHAPE. */
reel_var reel_concat(reel_tape *tape, const reel_var *x, int n, int axis);

/* x into n parts of size[i] along axis (which add up to x's), all from one record: part[i].
 * n in [1,8]. Fails the tape with REEL_E_SHAPE; then every part is 0. */
void reel_split(reel_tape *tape, reel_var x, int axis, const int64_t *size, int n, reel_var *part);

/* x into n equal parts along axis. */
void reel_split_evenly(reel_tape *tape, reel_var x, int axis, int n, reel_var *part);

#endif
