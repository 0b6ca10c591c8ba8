/* usage: golden [--bf16] [--level NAME] FOLDER...
 *
 * Exit code 0 when nothing failed, 1 when an output did or a case could not be run, 2 for a wrong
 * command line.
 */
#include <stdio.h>
#include <string.h>

#include "base/env.h"
#include "base/path.h"
#include "cpu/cpu.h"
#include "replay/replay.h"

typedef struct request {
    reel_dtype compute;
    reel_isa level;
    int first; /* folder among the arguments */
} request;

static bool has_word(const reel_json *config, const char *key, const char *word) {
    const char *text = "";
    if (!reel_json_has(config, key)) return false;
    const bool same = reel_json_string(config, key, &text) == REEL_OK && strcmp(text, word) == 0;
    reel_env_clear(reel_json_env(config));
    return same;
}

/* Which model a config is of; NULL when it is none of reel's. */
static replay_model *model_of(const reel_json *config) {
    if (reel_json_has(config, "transformer") && reel_json_has(config, "text_encoder"))
        return replay_wan_pipeline;
    if (has_word(config, "_class_name", "WanTransformer3DModel")) return replay_wan_dit;
    if (has_word(config, "_class_name", "AutoencoderKLWan")) return replay_wan_vae;
    if (reel_json_has(config, "pool_type") && reel_json_has(config, "patch_size"))
        return replay_clip;
    if (has_word(config, "model_type", "t5") || has_word(config, "model_type", "umt5"))
        return replay_t5;
    if (reel_json_has(config, "num_classes") && reel_json_has(config, "learn_sigma"))
        return replay_dit;
    return NULL;
}

static reel_status open_file(replay *r, const char *name, reel_safetensors **file) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.safetensors", r->folder, name);
    return reel_safetensors_open(r->env, path, file);
}

static void skip_the_rest(replay *r) {
    for (int64_t i = 0; i < reel_safetensors_count(r->outputs); i++)
        replay_compare(r, reel_safetensors_at(r->outputs, i)->name, NULL, 0);
}

static reel_status run_model(replay *r, replay_model *model) {
    reel_status status = open_file(r, "weights", &r->weights);
    if (status == REEL_OK) status = open_file(r, "inputs", &r->inputs);
    if (status == REEL_OK) status = open_file(r, "outputs", &r->outputs);
    if (status == REEL_OK) status = model(r);
    if (status == REEL_OK) skip_the_rest(r);
    reel_safetensors_close(&r->weights);
    reel_safetensors_close(&r->inputs);
    reel_safetensors_close(&r->outputs);
    return status;
}

static reel_status run_config(replay *r, const char *path) {
    reel_json_doc *doc;
    reel_status status = reel_json_load(r->env, path, &doc);
    if (status != REEL_OK) return status;
    r->config = reel_json_root(doc);
    replay_model *model = model_of(&r->config);
    if (model) {
        status = run_model(r, model);
    } else {
        printf("  %-32s  %-10s  SKIP (none of reel's models)\n", "config.json", "-");
        r->n_skip++;
    }
    reel_json_free(&doc);
    return status;
}

static reel_status run_folder(replay *r) {
    char config[4096], traces[4096];
    snprintf(config, sizeof config, "%s/config.json", r->folder);
    snprintf(traces, sizeof traces, "%s/traces.json", r->folder);
    printf("%s\n", r->folder);
    if (reel_path_look(config) == REEL_PATH_FILE) return run_config(r, config);
    if (reel_path_look(traces) == REEL_PATH_FILE) return replay_traces(r, traces);
    return reel_fail(r->env, REEL_E_FORMAT,
                     "%s: no case: it has neither config.json nor "
                     "traces.json",
                     r->folder);
}

static bool parse(int argc, char **argv, request *q) {
    *q = (request){.compute = REEL_F32, .level = reel_isa_detect(), .first = 1};
    for (; q->first < argc && argv[q->first][0] == '-'; q->first++) {
        if (strcmp(argv[q->first], "--bf16") == 0) {
            q->compute = REEL_BF16;
        } else if (strcmp(argv[q->first], "--level") == 0 && q->first + 1 < argc) {
            q->level = reel_isa_parse(argv[++q->first]);
            if (q->level == REEL_ISA_COUNT) return false;
        } else {
            return false;
        }
    }
    return q->first < argc;
}

int main(int argc, char **argv) {
    request q;
    if (!parse(argc, argv, &q)) {
        fprintf(stderr, "usage: golden [--bf16] [--level portable|avx2|avx512|avx512_bf16|amx] "
                        "FOLDER...\n");
        return 2;
    }
    reel_env *env;
    reel_kernel_table *table;
    if (reel_env_new(NULL, &env) != REEL_OK || reel_cpu_table(env, q.level, &table) != REEL_OK) {
        fprintf(stderr, "golden: no environment\n");
        return 1;
    }
    int n_pass = 0, n_fail = 0, n_skip = 0;
    for (int i = q.first; i < argc; i++) {
        replay r = {.env = env,
                    .folder = argv[i],
                    .table = table,
                    .compute = q.compute,
                    .tolerance = q.compute == REEL_BF16 ? 2e-2 : 1e-4};
        reel_env_clear(env);
        if (run_folder(&r) != REEL_OK) {
            printf("  FAIL: %s\n", reel_env_message(env));
            r.n_fail++;
        }
        n_pass += r.n_pass;
        n_fail += r.n_fail;
        n_skip += r.n_skip;
    }
    printf("%d passed, %d failed, %d skipped\n", n_pass, n_fail, n_skip);
    reel_kernel_table_free(env, &table);
    reel_env_free(&env);
    return n_fail ? 1 : 0;
}
