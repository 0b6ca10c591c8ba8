#include "zoo/usual.h"

#include <stddef.h>
#include <stdio.h>

#include "base/json.h"
#include "base/path.h"

typedef enum type { WHOLE, REAL, YES } type;

static const struct key {
    const char *name;
    type type;
    size_t at; /* in reel_usual */
    double least, most;
} keys[] = {
    {"width", WHOLE, offsetof(reel_usual, width), 16, 8192},
    {"height", WHOLE, offsetof(reel_usual, height), 16, 8192},
    {"frames", WHOLE, offsetof(reel_usual, frames), 1, 1000000},
    {"steps", WHOLE, offsetof(reel_usual, steps), 1, 1000},
    {"fps", REAL, offsetof(reel_usual, fps), 1, 1000},
    {"cfg_scale", REAL, offsetof(reel_usual, cfg_scale), 0, 100},
    {"cfg_scale_clips", REAL, offsetof(reel_usual, cfg_scale_clips), 0, 100},
    {"cfg_to", REAL, offsetof(reel_usual, cfg_to), 0, 1},
    {"flow_shift", REAL, offsetof(reel_usual, flow_shift), 0.01, 100},
    {"text_length", WHOLE, offsetof(reel_usual, text_length), 1, 512},
    {"deblock", REAL, offsetof(reel_usual, deblock), 0, 1},
    {"context_noise", REAL, offsetof(reel_usual, context_noise), 0, 1},
    {"anchor", WHOLE, offsetof(reel_usual, anchor), 0, 1000000},
    {"world", YES, offsetof(reel_usual, world), 0, 1},
};
enum { N_KEYS = sizeof keys / sizeof *keys };

static reel_status read_key(const reel_json *own, const struct key *k, reel_usual *usual) {
    void *field = (char *)usual + k->at;
    if (k->type == YES) return reel_json_bool_or(own, k->name, *(bool *)field, field);
    if (k->type == REAL)
        return reel_json_real_or(own, k->name, k->least, k->most, *(double *)field, field);
    return reel_json_int_or(own, k->name, (int64_t)k->least, (int64_t)k->most, *(int64_t *)field,
                            field);
}

static reel_status read_own(const reel_json *root, reel_usual *usual) {
    const char *names[N_KEYS];
    reel_json own;
    if (!reel_json_has(root, "_reel")) return REEL_OK;
    for (int i = 0; i < N_KEYS; i++)
        names[i] = keys[i].name;
    reel_status status = reel_json_object(root, "_reel", &own);
    if (status == REEL_OK) status = reel_json_only(&own, names, N_KEYS);
    for (int i = 0; i < N_KEYS && status == REEL_OK; i++)
        status = read_key(&own, &keys[i], usual);
    return status;
}

reel_status reel_usual_read(reel_env *env, const char *folder, reel_usual *usual) {
    char path[4096];
    reel_json_doc *doc;
    const int n = snprintf(path, sizeof path, "%s/model_index.json", folder);
    if (n >= (int)sizeof path || reel_path_look(path) != REEL_PATH_FILE) return REEL_OK;
    reel_status status = reel_json_load(env, path, &doc);
    if (status != REEL_OK) return status;
    const reel_json root = reel_json_root(doc);
    status = read_own(&root, usual);
    reel_json_free(&doc);
    return status;
}

static void write_key(reel_json_out *out, const struct key *k, const reel_usual *usual) {
    const void *field = (const char *)usual + k->at;
    if (k->type == YES
            ? !*(const bool *)field
            : (k->type == REAL ? *(const double *)field <= 0 : *(const int64_t *)field == 0))
        return;
    reel_json_out_key(out, k->name);
    if (k->type == YES) reel_json_out_bool(out, *(const bool *)field);
    if (k->type == REAL) reel_json_out_real(out, *(const double *)field);
    if (k->type == WHOLE) reel_json_out_int(out, *(const int64_t *)field);
}

void reel_usual_write(reel_json_out *out, const reel_usual *usual) {
    reel_json_out_object_begin(out);
    for (int i = 0; i < N_KEYS; i++)
        write_key(out, &keys[i], usual);
    reel_json_out_end(out);
}
