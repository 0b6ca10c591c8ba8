/* The bench: the machine's measured ceilings, and every kernel's rate against its own, in one run.
 *
 * A group is a file x_bench.c with a row in groups.def. It describes cases: an op (or several)
 * recorded on a tape. The frame plans the case, times each record's kernel alone, and prints a row:
 * time, rate, share of the ceiling, and a peer library's rate where there is one. A rate is taken
 * from the best of many repeats, since other processes only ever add time; the median stands
 * beside it and says how quiet the machine was.
 */
#ifndef REEL_BENCH_BENCH_H
#define REEL_BENCH_BENCH_H

#include "cpu/cpu.h"
#include "tape/plan.h"

/* Rates of one core [0] and of all lanes together [1]: GFLOP/s, or GB/s read plus written. 0: the
 * level has no such unit. */
typedef struct bench_ceilings {
    double fma[2];     /* f32 multiply-add, at the level's vector width */
    double dot[2];     /* bf16 dot product, vdpbf16ps */
    double tile[2];    /* bf16 tile product, tdpbf16ps */
    double copy[2];    /* memcpy of 256 MiB */
    double copy_nt[2]; /* the same with non-temporal stores */
} bench_ceilings;

typedef struct bench {
    reel_env *env;
    reel_kernel_table *table;
    reel_isa isa;
    int n_threads;
    double budget_s;  /* time to spend on one measurement */
    const char *only; /* cases whose shape or dtype holds this text, or NULL for all */
    bench_ceilings ceiling;
} bench;

/* ---- timing ---- */

typedef void bench_fn(void *context);

typedef struct bench_time {
    double best_s, median_s; /* of one call */
} bench_time;

/* Calls fn again and again for b->budget_s (at least 5 times, short calls in batches). */
bench_time bench_measure(const bench *b, bench_fn *fn, void *context);

/* The same for two functions in turns, so that both see the same noise. */
void bench_measure_pair(const bench *b, bench_fn *fn, void *context, bench_fn *peer,
                        void *peer_context, bench_time *time, bench_time *peer_time);

/* ---- ceilings ---- */

void bench_measure_ceilings(bench *b);
void bench_print_ceilings(const bench *b);

/* GB/s (read plus written) of the best copy that moves as many bytes in all, on all lanes: the
 * ceiling of a memory-bound kernel of that footprint, which may well fit into a cache. */
double bench_copy_rate(const bench *b, double bytes);

/* ---- rows ---- */

typedef enum bench_limit {
    BENCH_FMA,  /* f32 products: % of the FMA ceiling */
    BENCH_BF16, /* bf16 products: % of dot, and of tile where there is one; of FMA without both */
    BENCH_COPY, /* moved bytes: % of bench_copy_rate */
} bench_limit;

typedef struct bench_row {
    const char *kernel, *shape, *dtype;
    bench_limit limit;
    double flops, bytes; /* of one call */
    bench_time time;
    bench_time peer; /* best_s 0: none */
} bench_row;

/* A heading, then the columns' names. peer: the library in the last columns, or NULL. */
void bench_print_head(const bench *b, const char *title, const char *peer);
void bench_print_row(const bench *b, const bench_row *row);

/* ---- cases ---- */

/* A peer's way of computing a call, made by bench_case.peer. */
typedef struct bench_peer {
    bench_fn *run;
    bench_fn *release; /* of context; may be NULL */
    void *context;
} bench_peer;

typedef struct bench_input {
    reel_dtype dtype;
    reel_shape shape;
    double lo, hi; /* both 0: uniform in [-1,1); integers: in [lo,hi) */
    bool fixed;    /* wants no gradient */
} bench_input;

typedef struct bench_case {
    const char *shape; /* text of the row */
    const char *dtype; /* text of the row */
    reel_var (*build)(reel_tape *tape, const reel_var *in, const void *context);
    const void *context;
    bench_input in[REEL_MAX_IN];
    int n_in;
    bool backward;             /* also record the gradient of sum(r * output) by the inputs */
    const reel_op *report[16]; /* rows for records of these ops, NULL-terminated */
    bench_limit limit;
    /* Makes variant 0, 1, ... of a peer's implementation of call; false when there is none left.
     * The best variant is printed. NULL: no peer. */
    bool (*peer)(const bench *b, const reel_call *call, int variant, bench_peer *peer);
} bench_case;

/* Plans the case and prints a row for each record that report names. A failure is printed and
 * makes the program exit with 1 at its end. */
void bench_run_case(bench *b, const bench_case *c);

/* A case as a plan the caller measures itself (a training step): tape, plan and the memory. */
typedef struct bench_rig {
    reel_tape *tape;
    reel_plan *plan;
    void *data[REEL_MAX_IN + 1];
    reel_var in[REEL_MAX_IN];
} bench_rig;

/* options: as for reel_plan_new. On failure prints the message, returns false, leaves nothing. */
bool bench_rig_open(bench *b, const bench_case *c, const reel_plan_options *options,
                    bench_rig *rig);
void bench_rig_close(bench *b, bench_rig *rig);

/* n elements of dtype, random in [lo,hi), aligned to 64 bytes; freed with free. Ends the program
 * when there is no memory. */
void *bench_random(reel_dtype dtype, int64_t n, double lo, double hi);

/* True once any case has failed. */
bool bench_failed(void);

/* Holds a library's own threads to n (oneDNN's OpenMP) and its instructions to the level. */
void bench_limit_peers(int n_threads, reel_isa isa);

#define BENCH_GROUP(name) void bench_##name(bench *b);
#include "groups.def"
#undef BENCH_GROUP

#endif
