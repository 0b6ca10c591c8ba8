/* The plan: where every value lives, which kernel runs each record, and the loop that runs them.
 *
 * Lifetimes are known from the list, so all temporaries and all scratch share one arena, placed
 * first-fit by decreasing size. Records nobody needs are dropped. Nothing is allocated while a
 * plan runs; the stats prove it.
 */
#ifndef REEL_TAPE_PLAN_H
#define REEL_TAPE_PLAN_H

#include "tape/tape.h"

typedef struct reel_plan reel_plan;

typedef struct reel_plan_options {
    bool reuse;   /* false: every value gets memory of its own (for tests); default true */
    bool inplace; /* let ops write over an operand that dies; default true */
    bool dry;     /* take no memory: the plan tells what it would need and cannot run; false */
} reel_plan_options;

typedef struct reel_plan_stats {
    int n_records;             /* that run, dead ones and views dropped */
    int n_dropped;             /* dead records */
    int n_inplace;             /* outputs that took over an operand's memory */
    int64_t sum_bytes;         /* of all temporaries and scratch, had nothing been reused */
    int64_t planned_bytes;     /* the arena */
    int64_t peak_bytes;        /* the highest end of any operand or scratch in the arena */
    int64_t n_run_allocations; /* calls of the allocator during runs: 0 */
    double flops; /* arithmetic of the last run, by the ops' own count; before the first one, what
                     they guess from shapes alone */
} reel_plan_stats;

/* What one record took in a profiled run. */
typedef struct reel_profile_row {
    const reel_op *op;
    const reel_kernel *kernel;
    int scope;
    double seconds, flops, bytes; /* bytes: operands read plus written, once each */
} reel_profile_row;

reel_plan_options reel_plan_options_default(void);

/* Plans the tape for a kernel table; fails with the tape's own error if it has one. options may be
 * NULL. The plan copies what it needs: the tape may be reset afterwards. The caller frees it. */
REEL_MUST_USE reel_status reel_plan_new(const reel_tape *tape, const reel_kernel_table *table,
                                        const reel_plan_options *options, reel_plan **plan);
void reel_plan_free(reel_plan **plan);

/* Makes *plan fit the tape: when the tape's hash is unchanged only the bound pointers are taken
 * over, else a new plan replaces it. *plan may be NULL at first. On failure *plan is as before. */
REEL_MUST_USE reel_status reel_plan_update(const reel_tape *tape, const reel_kernel_table *table,
                                           const reel_plan_options *options, reel_plan **plan);

/* Points an input, a parameter or a bound output at other memory of the same size. */
void reel_plan_bind(reel_plan *plan, reel_var var, void *data);

/* Where a kept, bound or input value lives; NULL for others. */
void *reel_plan_data(const reel_plan *plan, reel_var var);

/* Runs every record once. Fails with REEL_E_ARG if a value is unbound. rows may be NULL, else it
 * has n_records entries (reel_plan_get_stats) and is filled. */
REEL_MUST_USE reel_status reel_plan_run(reel_plan *plan, reel_profile_row *rows);

/* Called after record `index` of a run. Anything but REEL_OK ends the run with that status. It must
 * not run or change the plan. */
typedef reel_status reel_plan_after(void *context, int index);
/* From now on runs call after; NULL: nobody. For weights that leave memory once they are read, and
 * for stopping in the middle of a long run. */
void reel_plan_set_after(reel_plan *plan, reel_plan_after *after, void *context);

/* The last record that reads an input's or a parameter's memory, -1 when none does. */
int reel_plan_last_use(const reel_plan *plan, reel_var var);

reel_plan_stats reel_plan_get_stats(const reel_plan *plan);

/* The call of the plan's record i (after dropping), for tests, dumps and benches. Borrowed. */
const reel_call *reel_plan_call(const reel_plan *plan, int index);

/* A table by kernel, slowest first: calls, seconds, share, GFLOP/s, GB/s. */
void reel_profile_write(const reel_profile_row *rows, int n_rows,
                        void (*write)(void *context, const char *line), void *context);

#endif
