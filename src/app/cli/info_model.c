#include "app/cli/info.h"

#include <stdio.h>

#include "base/json_out.h"

/* ---- as JSON ---- */

static void write_about(void *context, const reel_model_about *a) {
    reel_json_out *out = context;
    reel_json_out_object_begin(out);
    reel_json_out_put_string(out, "pipeline", a->pipeline);
    reel_json_out_put_string(out, "sampler", a->sampler);
    reel_json_out_key(out, "flow_shift");
    reel_json_out_real(out, a->flow_shift);
    reel_json_out_put_string(out, "tokenizer", a->tokenizer);
    reel_json_out_key(out, "components");
    reel_json_out_array_begin(out);
}

static void write_part(void *context, const reel_model_part *p) {
    reel_json_out *out = context;
    reel_json_out_object_begin(out);
    reel_json_out_put_string(out, "name", p->name);
    reel_json_out_put_string(out, "class", p->class_name);
    reel_json_out_put_string(out, "dtype", p->dtype);
    reel_json_out_put_int(out, "tensors", p->n_tensors);
    reel_json_out_put_int(out, "parameters", p->n_elements);
    reel_json_out_put_int(out, "bytes", p->n_bytes);
    reel_json_out_put_int(out, "files", p->n_files);
    reel_json_out_key(out, "config");
    reel_json_out_json(out, p->config);
    reel_json_out_end(out);
}

static reel_status print_json(reel_env *env, const char *path) {
    reel_json_out out;
    reel_json_out_init(&out, env);
    reel_status status = reel_model_describe(env, path, write_about, write_part, &out);
    if (status == REEL_OK) {
        const char *text;
        int64_t bytes;
        reel_json_out_end(&out);
        reel_json_out_end(&out);
        status = reel_json_out_text(&out, &text, &bytes);
        if (status == REEL_OK) printf("%s\n", text);
    }
    reel_json_out_deinit(&out);
    return status;
}

/* ---- as a table ---- */

typedef struct totals {
    int64_t n_elements, n_bytes;
} totals;

static void print_about(void *context, const reel_model_about *a) {
    (void)context;
    printf("%s, sampler %s, flow shift %g, tokenizer ", a->pipeline, a->sampler, a->flow_shift);
    reel_info_print_text(a->tokenizer ? a->tokenizer : "none");
    printf("\n");
}

/* One field of the configuration a line. It was written by this library: no string in it holds a
 * bracket or a comma. */
static void print_config(const char *json) {
    int depth = 0;
    for (const char *c = json; *c; c++) {
        depth += (*c == '{' || *c == '[') - (*c == '}' || *c == ']');
        if ((*c == '{' || *c == ',') && depth == 1)
            printf("\n  ");
        else if (*c == '}' && depth == 0)
            printf("\n");
        else
            putchar(*c);
    }
}

static void print_part(void *context, const reel_model_part *p) {
    totals *t = context;
    printf("%s: %s, %s, %lld parameters in %lld tensors, %lld bytes, %d file%s", p->name,
           p->class_name, p->dtype, (long long)p->n_elements, (long long)p->n_tensors,
           (long long)p->n_bytes, p->n_files, p->n_files == 1 ? "" : "s");
    print_config(p->config);
    t->n_elements += p->n_elements;
    t->n_bytes += p->n_bytes;
}

static void look(void *context, const reel_model_part *p) {
    (void)context;
    (void)p;
}

/* Looked at once before anything is printed: a folder with a broken part prints nothing. */
static reel_status print_table(reel_env *env, const char *path) {
    totals t = {0};
    reel_status status = reel_model_describe(env, path, NULL, look, NULL);
    if (status == REEL_OK) status = reel_model_describe(env, path, print_about, print_part, &t);
    if (status == REEL_OK)
        printf("%lld parameters, %lld bytes\n", (long long)t.n_elements, (long long)t.n_bytes);
    return status;
}

reel_status reel_info_model(reel_env *env, const char *path, bool json) {
    return json ? print_json(env, path) : print_table(env, path);
}
