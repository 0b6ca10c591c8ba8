/* Generation: the public view of pipeline/generate.h, with the CPU's kernels behind it. */
#include "pipeline/generate.h"

#include <string.h>

#include "api/backend.h"
#include "base/env.h"
#include "world/reading.h"

struct reel_generation {
    reel_env *env;
    reel_kernel_table *table;
    reel_generate *generate;
};

reel_generate_request reel_generate_request_default(void) {
    return (reel_generate_request){
        .cfg_scale = -1, .cfg_to = -1, .anchor = -1, .context_noise = -1};
}

/* A small model that knows one world says so when it is asked for more. */
static void note_reading(reel_generation *g, const char *prompt) {
    reel_understood u;
    char text[REEL_NOTE_BYTES - 96];
    reel_prompt_understand(prompt, (int64_t)strlen(prompt), &u);
    if (!reel_generate_is_of_world(g->generate) || (!u.n_unknown && u.possible)) return;
    reel_reading_understood(&u, text, sizeof text);
    reel_generate_note(g->generate, "of this prompt the model understands: %s",
                       text[0] ? text : "nothing");
    reel_reading_unknown(&u, prompt, text, sizeof text);
    if (text[0]) reel_generate_note(g->generate, "it does not know: %s", text);
    if (!u.possible) reel_generate_note(g->generate, "it never saw this: %s", u.why);
    reel_reading_kinds(text, sizeof text);
    reel_generate_note(g->generate, "it was trained on a small world of its own: %s", text);
    reel_generate_note(g->generate,
                       "for other prompts point to larger weights: --model DIR, or --model "
                       "Wan-AI/Wan2.1-T2V-1.3B-Diffusers");
}

static reel_status open_with(reel_generation *g, const reel_generate_request *request) {
    reel_backend backend;
    reel_status status =
        reel_backend_open(g->env, request->isa, request->bit_exact, &g->table, &backend);
    if (status == REEL_OK) status = reel_generate_open(g->env, request, &backend, &g->generate);
    if (status == REEL_OK) note_reading(g, request->prompt);
    return status;
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
