/* Generation: the public view of pipeline/generate.h, with the CPU's kernels behind it. */
#include "pipeline/generate.h"

#include "api/backend.h"
#include "base/env.h"

struct reel_generation {
    reel_env *env;
    reel_kernel_table *table;
    reel_generate *generate;
};

reel_generate_request reel_generate_request_default(void) {
    return (reel_generate_request){.cfg_scale = -1, .cfg_to = 1};
}

static reel_status open_with(reel_generation *g, const reel_generate_request *request) {
    reel_backend backend;
    const reel_status status =
        reel_backend_open(g->env, request->isa, request->bit_exact, &g->table, &backend);
    return status == REEL_OK ? reel_generate_open(g->env, request, &backend, &g->generate) : status;
}

reel_status reel_generation_open(reel_env *env, const reel_generate_request *request,
                                 reel_generation **generation) {
    reel_generation *g = reel_calloc(env, 1, sizeof *g, "generation");
    if (!g) return REEL_E_NOMEM;
    g->env = env;
    const reel_status status = open_with(g, request);
    if (status == REEL_OK)
        *generation = g;
    else
        reel_generation_close(&g);
    return status;
}

void reel_generation_close(reel_generation **generation) {
    if (!generation || !*generation) return;
    reel_generation *g = *generation;
    *generation = NULL;
    reel_generate_close(&g->generate);
    reel_kernel_table_free(g->env, &g->table);
    reel_free(g->env, g);
}

const reel_generate_settings *reel_generation_settings(const reel_generation *g) {
    return reel_generate_get_settings(g->generate);
}

reel_status reel_generation_predict(reel_generation *g, reel_generate_cost *cost) {
    return reel_generate_predict(g->generate, cost);
}

reel_status reel_generation_run(reel_generation *g, reel_event_fn *on_event, reel_cancel_fn *cancel,
                                void *context) {
    return reel_generate_run(g->generate, on_event, cancel, context);
}
