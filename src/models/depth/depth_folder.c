/* A head's folder, and the model that looks at clips of any length. */
#include <stdio.h>
#include <string.h>

#include "base/env.h"
#include "models/depth/depth.h"
#include "models/small_folder.h"
#include "tape/plan.h"

enum { PATH_BYTES = 4096, AT_ONCE = 5 /* latent frames of a window without its margins */ };
static const char tag[] = "depth";
static const char class_name[] = "ReelDepth";

/* ---- configuration ---- */

#define COUNT(name, most)                                                                          \
    { #name, offsetof(reel_depth_config, name), most }
static const struct {
    const char *name;
    size_t offset;
    int64_t most;
} counts[] = {COUNT(z_dim, 1024),    COUNT(factor_t, 64), COUNT(factor_s, 256),
              COUNT(channels, 4096), COUNT(blocks, 16),   COUNT(mid, 1024)};
enum { N_COUNTS = sizeof counts / sizeof *counts };

void reel_depth_config_write(reel_json_out *out, const reel_depth_config *c) {
    reel_json_out_object_begin(out);
    reel_json_out_key(out, "_class_name");
    reel_json_out_string(out, class_name);
    for (int i = 0; i < N_COUNTS; i++) {
        int64_t value;
        memcpy(&value, (const char *)c + counts[i].offset, sizeof value);
        reel_json_out_key(out, counts[i].name);
        reel_json_out_int(out, value);
    }
    reel_json_out_key(out, "latents");
    reel_json_out_string(out, c->latents);
    reel_json_out_end(out);
}

reel_status reel_depth_config_read(const reel_json *root, reel_depth_config *config) {
    static const char *const classes[] = {class_name};
    const char *keys[N_COUNTS + 2] = {"_class_name", "latents"}, *latents;
    reel_depth_config c = {0};
    int word;
    for (int i = 0; i < N_COUNTS; i++)
        keys[2 + i] = counts[i].name;
    reel_status status = reel_json_only(root, keys, N_COUNTS + 2);
    if (status == REEL_OK) status = reel_json_choice(root, "_class_name", classes, 1, &word);
    for (int i = 0; i < N_COUNTS && status == REEL_OK; i++) {
        int64_t value = 0;
        status = reel_json_int(root, counts[i].name, 1, counts[i].most, &value);
        memcpy((char *)&c + counts[i].offset, &value, sizeof value);
    }
    if (status == REEL_OK) status = reel_json_string(root, "latents", &latents);
    if (status != REEL_OK) return status;
    if (strlen(latents) >= sizeof c.latents)
        return reel_json_fail(root, REEL_E_FORMAT, "latents has more than %d characters",
                              REEL_DEPTH_KEY - 1);
    snprintf(c.latents, sizeof c.latents, "%s", latents);
    status = reel_depth_config_check(reel_json_env(root), &c);
    if (status != REEL_OK) return REEL_E_FORMAT;
    *config = c;
    return REEL_OK;
}

/* ---- writing ---- */

reel_status reel_depth_save(reel_env *env, const char *folder, const reel_depth_config *config,
                            reel_params *params) {
    reel_json_out out;
    reel_json_out_init(&out, env);
    reel_depth_config_write(&out, config);
    const reel_status status = reel_small_folder_save(env, folder, &out, params);
    reel_json_out_deinit(&out);
    return status;
}

/* ---- opening ---- */

struct reel_depth_model {
    reel_env *env;
    const reel_kernel_table *table;
    reel_depth_config config;
    reel_safetensors *file;
    reel_params *params; /* in the file's memory */
    reel_tape *tape;
    reel_plan *plan; /* of n latent frames of h x w; one size follows another */
    int64_t n, h, w;
    float *x; /* [1,n,h,w,z] */
    reel_var y;
};

static reel_status read_config(reel_env *env, const char *path, reel_depth_config *config) {
    reel_json_doc *doc;
    reel_status status = reel_json_load(env, path, &doc);
    if (status != REEL_OK) return status;
    const reel_json root = reel_json_root(doc);
    status = reel_depth_config_read(&root, config);
    reel_json_free(&doc);
    return status;
}

/* Records and plans n latent frames of h x w. */
static reel_status plan(reel_depth_model *m, int64_t n, int64_t h, int64_t w) {
    if (m->plan && m->n == n && m->h == h && m->w == w) return REEL_OK;
    reel_plan_free(&m->plan);
    const int64_t z = m->config.z_dim;
    const reel_shape shape = REEL_SHAPE(1, n, h, w, z);
    reel_status status = reel_shape_check(m->env, &shape);
    if (status != REEL_OK) return status;
    float *x = reel_realloc(m->env, m->x, n * h * w * z * (int64_t)sizeof *x, tag);
    if (!x) return REEL_E_NOMEM;
    m->x = x;
    m->n = n;
    m->h = h;
    m->w = w;
    reel_tape_reset(m->tape);
    reel_nn nn = reel_nn_start(m->tape, m->params, REEL_BF16);
    m->y = reel_depth(&nn, &m->config, reel_tape_input(m->tape, REEL_F32, shape, "latents", x));
    reel_tape_keep(m->tape, m->y);
    return reel_plan_new(m->tape, m->table, NULL, &m->plan);
}

reel_status reel_depth_open(reel_env *env, const reel_kernel_table *table, const char *folder,
                            reel_depth_model **model) {
    char path[PATH_BYTES];
    reel_depth_model *m = reel_calloc(env, 1, sizeof *m, tag);
    if (!m) return REEL_E_NOMEM;
    m->env = env;
    m->table = table;
    snprintf(path, sizeof path, "%s/config.json", folder);
    reel_status status = read_config(env, path, &m->config);
    if (status == REEL_OK) status = reel_small_folder_weights(env, folder, &m->file, &m->params);
    if (status == REEL_OK) status = reel_ops_tape_new(env, &m->tape);
    if (status == REEL_OK) status = plan(m, 1, 1, 1); /* finds what the file lacks */
    if (status != REEL_OK) {
        reel_fail_within(env, "%s", folder);
        reel_depth_close(&m);
        return status;
    }
    *model = m;
    return REEL_OK;
}

void reel_depth_close(reel_depth_model **model) {
    reel_depth_model *m = *model;
    if (!m) return;
    reel_plan_free(&m->plan);
    reel_tape_free(&m->tape);
    reel_free(m->env, m->x);
    reel_params_free(&m->params);
    reel_safetensors_close(&m->file);
    reel_free(m->env, m);
    *model = NULL;
}

const reel_depth_config *reel_depth_config_of(const reel_depth_model *m) {
    return &m->config;
}

/* ---- looking ---- */

/* Runs the n latent frames from `first` on: [z,f,h,w] becomes [n,h,w,z]. */
static reel_status look(reel_depth_model *m, const float *latents, int64_t f, int64_t first) {
    const int64_t z = m->config.z_dim, frame = m->h * m->w;
    for (int64_t c = 0; c < z; c++) {
        const float *from = latents + (c * f + first) * frame;
        for (int64_t i = 0; i < m->n * frame; i++)
            m->x[i * z + c] = from[i];
    }
    return reel_plan_run(m->plan, NULL);
}

/* A millimetre before the eye is near enough; NaN is far. */
static void clip(float *nearness, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        nearness[i] = nearness[i] > 0 ? nearness[i] < 1000 ? nearness[i] : 1000 : 0;
}

reel_status reel_depth_run(reel_depth_model *m, const float *latents, int64_t f, int64_t h,
                           int64_t w, reel_depth_write *write, void *context) {
    const reel_depth_config *c = &m->config;
    const int64_t margin = c->blocks; /* latent frames the blocks look at on either side */
    const int64_t most = AT_ONCE + 2 * margin, n = f < most ? f : most;
    const int64_t pixels = h * w * c->factor_s * c->factor_s;
    reel_status status = plan(m, n, h, w);
    for (int64_t done = 0; done < f && status == REEL_OK;) {
        int64_t first = done > margin ? done - margin : 0;
        if (first > f - n) first = f - n;
        const int64_t end = first + n == f ? f : first + n - margin;
        status = look(m, latents, f, first);
        if (status != REEL_OK) break;
        float *y = (float *)reel_plan_data(m->plan, m->y);
        clip(y, n * c->factor_t * pixels);
        const int64_t skip = (done - first) * c->factor_t + (done ? 0 : c->factor_t - 1);
        const int64_t frames = (end - first) * c->factor_t - skip;
        status = write(context, done ? 1 + (done - 1) * c->factor_t : 0, frames, y + skip * pixels);
        done = end;
    }
    return status;
}
