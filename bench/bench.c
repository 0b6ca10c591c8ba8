#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"
#include "tensor/q8.h"

enum { MAX_SAMPLES = 400, N_ROUNDS = 4 };

static bool failed; /* the bench is one program with one thread: its own state may be static */

bool bench_failed(void) {
    return failed;
}

/* ---- timing ---- */

typedef struct samples {
    double s[MAX_SAMPLES];
    int n;
} samples;

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static bench_time summary(samples *t) {
    qsort(t->s, (size_t)t->n, sizeof *t->s, ascending);
    return (bench_time){.best_s = t->s[0], .median_s = t->s[t->n / 2]};
}

/* How many calls make a sample of at least 20 us, so that the clock does not count. */
static int batch_of(bench_fn *fn, void *context) {
    fn(context); /* first touch of memory and code */
    const double start = reel_clock_s();
    fn(context);
    const double once = reel_clock_s() - start;
    return once > 20e-6 ? 1 : (int)(20e-6 / (once + 1e-9)) + 1;
}

static void sample(samples *t, bench_fn *fn, void *context, int batch, double budget_s) {
    const double end = reel_clock_s() + budget_s;
    for (int i = 0; (i < 3 || reel_clock_s() < end) && t->n < MAX_SAMPLES; i++) {
        const double start = reel_clock_s();
        for (int k = 0; k < batch; k++)
            fn(context);
        t->s[t->n++] = (reel_clock_s() - start) / batch;
    }
}

bench_time bench_measure(const bench *b, bench_fn *fn, void *context) {
    samples t = {.n = 0};
    const int batch = batch_of(fn, context);
    for (int round = 0; round < 2; round++)
        sample(&t, fn, context, batch, b->budget_s / 2);
    return summary(&t);
}

void bench_measure_pair(const bench *b, bench_fn *fn, void *context, bench_fn *peer,
                        void *peer_context, bench_time *time, bench_time *peer_time) {
    samples mine = {.n = 0}, theirs = {.n = 0};
    const int batch = batch_of(fn, context), peer_batch = batch_of(peer, peer_context);
    for (int round = 0; round < N_ROUNDS; round++) {
        usleep(3000); /* an OpenMP runtime's idle threads spin for about a millisecond */
        fn(context);
        sample(&mine, fn, context, batch, b->budget_s / N_ROUNDS);
        peer(peer_context);
        sample(&theirs, peer, peer_context, peer_batch, b->budget_s / N_ROUNDS);
    }
    *time = summary(&mine);
    *peer_time = summary(&theirs);
}

/* ---- rows ---- */

void bench_print_head(const bench *b, const char *title, const char *peer) {
    printf("\n%s, level %s, %d thread%s\n", title, reel_isa_name(b->isa), b->n_threads,
           b->n_threads > 1 ? "s" : "");
    printf("%-32s %-26s %-5s %9s %9s %8s %6s %6s", "kernel", "shape", "dtype", "best us",
           "median us", "GFLOP/s", "% ceil", "% tile");
    if (peer) printf(" %9s %6s", peer, "ratio");
    printf("\n");
}

static double share_of_ceiling(const bench *b, const bench_row *row, double rate) {
    const bench_ceilings *c = &b->ceiling;
    if (row->limit == BENCH_COPY) return rate / bench_copy_rate(b, row->bytes);
    if (row->limit == BENCH_BF16 && c->dot[1] > 0) return rate / c->dot[1];
    return rate / c->fma[1];
}

void bench_print_row(const bench *b, const bench_row *row) {
    const bool moves = row->limit == BENCH_COPY;
    const double amount = (moves ? row->bytes : row->flops) * 1e-9;
    const double rate = amount / row->time.best_s;
    printf("%-32s %-26s %-5s %9.1f %9.1f %8.1f %5.0f%%", row->kernel, row->shape, row->dtype,
           row->time.best_s * 1e6, row->time.median_s * 1e6, rate,
           100 * share_of_ceiling(b, row, rate));
    if (row->limit == BENCH_BF16 && b->ceiling.tile[1] > 0)
        printf(" %5.0f%%", 100 * rate / b->ceiling.tile[1]);
    else
        printf(" %6s", moves ? "GB/s" : "");
    if (row->peer.best_s > 0)
        printf(" %9.1f %6.2f", amount / row->peer.best_s, row->peer.best_s / row->time.best_s);
    printf("\n");
    fflush(stdout);
}

/* ---- cases ---- */

void *bench_random(reel_dtype dtype, int64_t n, double lo, double hi) {
    void *data = NULL;
    const size_t bytes = (size_t)reel_dtype_size(dtype, n);
    if (posix_memalign(&data, REEL_ALIGN, bytes ? bytes : 1) != 0) {
        fprintf(stderr, "bench: no memory for %lld elements\n", (long long)n);
        exit(1);
    }
    if (lo == 0 && hi == 0) {
        lo = -1;
        hi = 1;
    }
    if (dtype == REEL_Q8_0) {
        float *values = bench_random(REEL_F32, n, lo, hi);
        reel_q8_quantise(data, REEL_F32, values, n);
        free(values);
        return data;
    }
    uint64_t state = 12345;
    for (int64_t i = 0; i < n; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        double x = lo + (hi - lo) * (double)(state >> 40) * 0x1p-24;
        if (!reel_dtype_is_float(dtype)) x = (double)(int64_t)x;
        reel_dtype_store(dtype, data, i, (float)x);
    }
    return data;
}

static void complain(const bench *b, const char *shape) {
    printf("%s: %s\n", shape, reel_env_message(b->env));
    reel_env_clear(b->env);
    failed = true;
}

static void record(bench_rig *rig, const bench_case *c) {
    reel_tape *t = rig->tape;
    reel_tape_set_training(t, c->backward);
    for (int i = 0; i < c->n_in; i++) {
        const bool param = c->backward && !c->in[i].fixed && reel_dtype_is_float(c->in[i].dtype);
        rig->in[i] = (param ? reel_tape_param : reel_tape_input)(t, c->in[i].dtype, c->in[i].shape,
                                                                 NULL, rig->data[i]);
    }
    const reel_var out = c->build(t, rig->in, c->context);
    reel_tape_keep(t, out);
    if (!c->backward || reel_tape_status(t) != REEL_OK) return;
    const reel_shape shape = reel_tape_value(t, out)->shape;
    rig->data[c->n_in] = bench_random(REEL_F32, reel_shape_count(&shape), 0, 0);
    const reel_var r = reel_tape_input(t, REEL_F32, shape, NULL, rig->data[c->n_in]);
    reel_tape_backward(t, reel_dot(t, reel_cast(t, out, REEL_F32), r));
}

bool bench_rig_open(bench *b, const bench_case *c, const reel_plan_options *options,
                    bench_rig *rig) {
    *rig = (bench_rig){0};
    for (int i = 0; i < c->n_in; i++)
        rig->data[i] = bench_random(c->in[i].dtype, reel_shape_count(&c->in[i].shape), c->in[i].lo,
                                    c->in[i].hi);
    bool ok = reel_ops_tape_new(b->env, &rig->tape) == REEL_OK;
    if (ok) {
        record(rig, c);
        ok = reel_plan_new(rig->tape, b->table, options, &rig->plan) == REEL_OK &&
             reel_plan_run(rig->plan, NULL) == REEL_OK;
    }
    if (!ok) {
        complain(b, c->shape);
        bench_rig_close(b, rig);
    }
    return ok;
}

void bench_rig_close(bench *b, bench_rig *rig) {
    (void)b;
    reel_plan_free(&rig->plan);
    reel_tape_free(&rig->tape);
    for (int i = 0; i <= REEL_MAX_IN; i++)
        free(rig->data[i]);
    *rig = (bench_rig){0};
}

static void run_call(void *context) {
    const reel_call *call = context;
    call->kernel->run(call);
}

static double bytes_of(const reel_call *call) {
    double bytes = 0;
    for (int i = 0; i < call->n_in; i++)
        if (call->present[i]) bytes += (double)reel_tensor_bytes(&call->in[i]);
    for (int i = 0; i < call->n_out; i++)
        if (call->out[i].data) bytes += (double)reel_tensor_bytes(&call->out[i]);
    return bytes;
}

static void run_record(bench *b, const bench_case *c, const reel_call *call) {
    reel_call copy = *call;
    bench_row row = {.kernel = call->kernel->name,
                     .shape = c->shape,
                     .dtype = c->dtype,
                     .limit = c->limit,
                     .flops = call->op->flops ? call->op->flops(call) : 0,
                     .bytes = bytes_of(call)};
    bench_peer peer;
    int n_peers = 0;
    for (; c->peer && c->peer(b, call, n_peers, &peer); n_peers++) {
        bench_time mine, theirs;
        bench_measure_pair(b, run_call, &copy, peer.run, peer.context, &mine, &theirs);
        if (peer.release) peer.release(peer.context);
        if (n_peers == 0 || mine.best_s < row.time.best_s) row.time = mine;
        if (n_peers == 0 || theirs.best_s < row.peer.best_s) row.peer = theirs;
    }
    if (n_peers == 0) row.time = bench_measure(b, run_call, &copy);
    bench_print_row(b, &row);
}

void bench_run_case(bench *b, const bench_case *c) {
    if (b->only && !strstr(c->shape, b->only) && !strstr(c->dtype, b->only)) return;
    /* Nothing shares memory, so that a record can run again and again on what it found. */
    const reel_plan_options apart = {.reuse = false, .inplace = false};
    bench_rig rig;
    if (!bench_rig_open(b, c, &apart, &rig)) return;
    const int n = reel_plan_get_stats(rig.plan).n_records;
    for (int k = 0; k < n; k++) {
        const reel_call *call = reel_plan_call(rig.plan, k);
        for (int i = 0; c->report[i]; i++)
            if (c->report[i] == call->op) run_record(b, c, call);
    }
    bench_rig_close(b, &rig);
}
