/* The key of a generation: who asks for the same key gets the same file. */
#include "pipeline/generate_state.h"

static void write_key(const reel_generate *g, reel_json_out *out) {
    const reel_provenance provenance = {.model = g->request->model,
                                        .hash = g->hash,
                                        .prompt = g->request->prompt,
                                        .negative_prompt = g->request->negative_prompt,
                                        .isa = g->backend.isa,
                                        .n_windows = g->shown.windows,
                                        .settings = &g->settings,
                                        .task = &g->task};
    reel_json_out_array_begin(out);
    reel_provenance_write(out, &provenance, false); /* without names: files are what is in them */
    reel_json_out_int(out, g->request->seed);
    reel_json_out_end(out);
}

reel_status reel_generate_key(reel_generate *g, const char **key) {
    reel_generate_cost cost;
    reel_status status = reel_generate_identify(g);
    if (status == REEL_OK) status = reel_predict_memory(g, &cost); /* settles the tiles */
    if (status != REEL_OK) return status;
    reel_json_out out;
    reel_json_out_init(&out, g->env);
    write_key(g, &out);
    const char *text;
    int64_t bytes;
    status = reel_json_out_text(&out, &text, &bytes);
    if (status == REEL_OK) {
        *key = reel_arena_strdup(&g->arena, text);
        if (!*key) status = REEL_E_NOMEM;
    }
    reel_json_out_deinit(&out);
    return status;
}
