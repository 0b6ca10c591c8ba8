#include "models/wan/vae_runner.h"

#include <string.h>

#include "ops/ops.h"

enum { ALIGN = 64 };

static bool same(const int64_t a[2], const int64_t b[2]) {
    return a[0] == b[0] && a[1] == b[1];
}

reel_status reel_vae_runner_init(reel_vae_runner *r) {
    return reel_ops_tape_new(r->env, &r->tape);
}

void reel_vae_runner_deinit(reel_vae_runner *r) {
    reel_plan_free(&r->plan);
    reel_tape_free(&r->tape);
    reel_free(r->env, r->cache);
    r->cache = NULL;
    r->cache_room = r->cache_size[0] = r->cache_size[1] = 0;
}

static reel_status record(reel_vae_runner *r, reel_wan_vae_piece piece, const int64_t size[2],
                          reel_wan_vae_caches *caches) {
    *caches = (reel_wan_vae_caches){.single_from = r->single_from};
    reel_tape_reset(r->tape);
    const reel_status status = r->record(r->context, r->tape, piece, size, caches);
    return status == REEL_OK ? reel_tape_status(r->tape) : status;
}

static int64_t bytes_of(const reel_tape *t, reel_var var) {
    const reel_value *v = reel_tape_value(t, var);
    const int64_t bytes = reel_shape_count(&v->shape) * reel_dtype_bytes(v->dtype);
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

/* Gives each cache its place. Later pieces read all of them, so one such recording knows. */
static reel_status lay_out_caches(reel_vae_runner *r, const int64_t size[2],
                                  reel_wan_vae_caches *caches) {
    if (same(r->cache_size, size)) return REEL_OK;
    const reel_status status = record(r, REEL_WAN_VAE_NEXT, size, caches);
    if (status != REEL_OK) return status;
    int64_t bytes = 0;
    for (int i = 0; i < caches->n; i++) {
        r->cache_at[i] = bytes;
        bytes += bytes_of(r->tape, caches->in[i]);
    }
    if (bytes > r->cache_room) {
        reel_free(r->env, r->cache);
        r->cache_room = r->cache_size[0] = r->cache_size[1] = 0;
        r->cache = reel_alloc(r->env, bytes, "vae caches");
        if (!r->cache) return REEL_E_NOMEM;
        r->cache_room = bytes;
    }
    r->n_caches = caches->n;
    r->cache_bytes = bytes;
    memcpy(r->cache_size, size, sizeof r->cache_size);
    return REEL_OK;
}

reel_status reel_vae_runner_prepare(reel_vae_runner *r, reel_wan_vae_piece piece,
                                    const int64_t size[2]) {
    if (r->plan && r->piece == piece && same(r->planned, size)) return REEL_OK;
    reel_plan_free(&r->plan); /* first: two would not fit where one does */
    reel_wan_vae_caches caches;
    reel_status status = lay_out_caches(r, size, &caches);
    if (status == REEL_OK) status = record(r, piece, size, &caches);
    if (status != REEL_OK) return status;
    for (int i = 0; i < caches.n; i++)
        reel_wan_vae_cache_bind(r->tape, &caches, i, r->cache + r->cache_at[i]);
    r->piece = piece;
    memcpy(r->planned, size, sizeof r->planned);
    return reel_plan_new(r->tape, r->table, NULL, &r->plan);
}

void reel_vae_runner_begin(reel_vae_runner *r) {
    r->n_run = 0;
}

reel_status reel_vae_runner_run(reel_vae_runner *r, const int64_t size[2]) {
    reel_status status =
        reel_vae_runner_prepare(r, r->n_run ? REEL_WAN_VAE_NEXT : REEL_WAN_VAE_FIRST, size);
    if (status != REEL_OK) return status;
    if (!r->n_run) memset(r->cache, 0, (size_t)r->cache_bytes);
    status = reel_plan_run(r->plan, NULL);
    if (status == REEL_OK) r->n_run++;
    return status;
}
