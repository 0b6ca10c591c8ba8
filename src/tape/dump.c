/* Looking at a tape and at a run: the hash, the text dump, the profile table. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tape/plan.h"
#include "tape/state.h"

/* In the manner of FNV-1a, but eight bytes at a time, since every step hashes its whole tape; the
 * shift carries high bits down, which the product alone never does. Short inputs, no adversary. */
static uint64_t mix(uint64_t hash, const void *data, size_t bytes) {
    const char *p = data;
    for (size_t i = 0; i < bytes; i += sizeof(uint64_t)) {
        uint64_t word = 0;
        memcpy(&word, p + i, bytes - i < sizeof word ? bytes - i : sizeof word);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u; /* 2^64 / golden ratio, odd */
        hash ^= hash >> 29;
    }
    return hash;
}

uint64_t reel_tape_hash(const reel_tape *t) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (reel_var v = 1; v <= t->n_values; v++) {
        const reel_value *x = &t->value[v];
        const bool bound = x->kind == REEL_VALUE_TEMP && x->data && !t->eager;
        const int32_t facts[5] = {x->dtype, x->kind, x->keep, bound, x->shape.rank};
        hash = mix(hash, facts, sizeof facts);
        hash = mix(hash, x->shape.dim, sizeof x->shape.dim[0] * (size_t)x->shape.rank);
    }
    for (int k = 0; k < t->n_records; k++) {
        const reel_record *r = &t->record[k];
        const int32_t facts[4] = {r->op->id, r->n_in, r->out, r->scope};
        hash = mix(hash, facts, sizeof facts);
        hash = mix(hash, r->in, sizeof r->in[0] * (size_t)r->n_in);
        hash = mix(hash, r->attr, sizeof r->attr);
    }
    return hash;
}

/* Appends to a line of fixed size; what does not fit is cut. */
typedef struct line {
    char text[1024];
    int used;
} line;

static void put(line *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(line *l, const char *format, ...) {
    if (l->used >= (int)sizeof l->text - 1) return;
    va_list args;
    va_start(args, format);
    const int wrote = vsnprintf(l->text + l->used, sizeof l->text - (size_t)l->used, format, args);
    va_end(args);
    l->used += wrote;
}

static void put_operand(line *l, const reel_tape *t, reel_var var) {
    if (!var) {
        put(l, " -");
        return;
    }
    const reel_value *v = &t->value[var];
    const char *name = t->names + v->name;
    put(l, " %%%d%s%s", (int)var, *name ? ":" : "", name);
}

void reel_tape_dump(const reel_tape *t, void (*write)(void *context, const char *line),
                    void *context) {
    for (int k = 0; k < t->n_records; k++) {
        const reel_record *r = &t->record[k];
        line l = {.used = 0};
        put(&l, "%4d ", k);
        for (int i = 0; i < r->n_out; i++) {
            const reel_value *v = &t->value[r->out + i];
            put(&l, "%s%%%d %s%s", i ? ", " : "", (int)r->out + i, reel_dtype_name(v->dtype),
                REEL_SHAPE_STR(&v->shape));
        }
        put(&l, " = %s", r->op->name);
        for (int i = 0; i < r->n_in; i++)
            put_operand(&l, t, r->in[i]);
        char path[256];
        reel_tape_scope_path(t, r->scope, path, sizeof path);
        if (path[0]) put(&l, "  @ %s", path);
        write(context, l.text);
    }
}

/* ---- profile ---- */

typedef struct kernel_sum {
    const reel_kernel *kernel;
    int n_calls;
    double seconds, flops, bytes;
} kernel_sum;

static int by_seconds(const void *a, const void *b) {
    const kernel_sum *x = a, *y = b;
    return (y->seconds > x->seconds) - (y->seconds < x->seconds);
}

void reel_profile_write(const reel_profile_row *rows, int n_rows,
                        void (*write)(void *context, const char *line), void *context) {
    kernel_sum sum[256];
    int n = 0;
    double total = 0;
    for (int i = 0; i < n_rows; i++) {
        int k = 0;
        while (k < n && sum[k].kernel != rows[i].kernel)
            k++;
        if (k == 256) continue; /* more kernels than ops.def has rows: cannot happen */
        if (k == n) sum[n++] = (kernel_sum){.kernel = rows[i].kernel};
        sum[k].n_calls++;
        sum[k].seconds += rows[i].seconds;
        sum[k].flops += rows[i].flops;
        sum[k].bytes += rows[i].bytes;
        total += rows[i].seconds;
    }
    qsort(sum, (size_t)n, sizeof *sum, by_seconds);
    write(context, "kernel                              calls       ms  share   GFLOP/s    GB/s");
    for (int k = 0; k < n; k++) {
        char text[160];
        snprintf(text, sizeof text, "%-34s %6d %8.3f %5.1f%% %9.1f %7.1f", sum[k].kernel->name,
                 sum[k].n_calls, sum[k].seconds * 1e3, 100 * sum[k].seconds / (total + 1e-12),
                 sum[k].flops / (sum[k].seconds + 1e-12) * 1e-9,
                 sum[k].bytes / (sum[k].seconds + 1e-12) * 1e-9);
        write(context, text);
    }
}
