/* reel info: what is inside a file or a model folder. */
#include "app/cli/info.h"

#include <string.h>
#include <strings.h>

#include "app/cli/command.h"
#include "app/cli/hub.h"
#include "base/json_out.h"
#include "base/path.h"

typedef struct info_options {
    bool json;
} info_options;

static const reel_option options[] = {
    {.name = "json",
     .help = "print JSON instead of a table",
     .offset = offsetof(info_options, json),
     .kind = REEL_OPTION_FLAG},
};

static const reel_usage usage = {
    .command = "info",
    .summary = "Show what a model folder, a file of weights, a video or a picture holds",
    .operands = "MODEL|FILE",
    .min_operands = 1,
    .max_operands = 1,
    .option = options,
    .n_options = sizeof options / sizeof *options,
};

typedef struct totals {
    int64_t n_elements, n_bytes;
} totals;

static totals total_of(const reel_weights *weights) {
    totals sum = {0};
    for (int64_t i = 0; i < reel_weights_count(weights); i++) {
        const reel_weight weight = reel_weights_at(weights, i);
        sum.n_elements += weight.n_elements;
        sum.n_bytes += weight.n_bytes;
    }
    return sum;
}

/* Names and metadata come from the file: a terminal must not obey what they hold. */
void reel_info_print_text(const char *text) {
    for (; *text; text++) {
        const unsigned char c = (unsigned char)*text;
        /* U+0080 to U+009F are control characters too: c2 80 to c2 9f. */
        if (c == 0xc2 && ((unsigned char)text[1] & 0xe0) == 0x80)
            printf("\\xc2\\x%02x", (unsigned char)*++text);
        else if (c < 0x20 || c == 0x7f)
            printf("\\x%02x", c);
        else
            putchar(c);
    }
}

static void print_weight(const reel_weight *weight, int name_width) {
    char shape[160] = "";
    size_t n = 0;
    for (int k = 0; k < weight->rank; k++)
        n += (size_t)snprintf(shape + n, sizeof shape - n, "%s%lld", k ? "," : "",
                              (long long)weight->dim[k]);
    reel_info_print_text(weight->name);
    printf("%*s  %-4s  [%s]  %lld\n", name_width - (int)strlen(weight->name), "", weight->dtype,
           shape, (long long)weight->n_bytes);
}

static void print_table(const reel_weights *weights) {
    enum { WIDEST = 72 };
    int width = 0;
    for (int64_t i = 0; i < reel_weights_count(weights); i++) {
        const size_t length = strlen(reel_weights_at(weights, i).name);
        if (length <= WIDEST && (int)length > width) width = (int)length;
    }
    for (int64_t i = 0; i < reel_weights_count(weights); i++) {
        const reel_weight weight = reel_weights_at(weights, i);
        print_weight(&weight, strlen(weight.name) <= WIDEST ? width : (int)strlen(weight.name));
    }
    for (int file = 0; file < reel_weights_files(weights); file++) {
        for (int64_t k = 0; k < reel_weights_metadata_count(weights, file); k++) {
            const char *key, *value;
            reel_weights_metadata_at(weights, file, k, &key, &value);
            printf("metadata ");
            reel_info_print_text(key);
            printf(" = ");
            reel_info_print_text(value);
            printf("\n");
        }
    }
    const totals sum = total_of(weights);
    printf("%lld tensors, %lld elements, %lld bytes, %d file%s\n",
           (long long)reel_weights_count(weights), (long long)sum.n_elements,
           (long long)sum.n_bytes, reel_weights_files(weights),
           reel_weights_files(weights) == 1 ? "" : "s");
}

static void write_weight(reel_json_out *out, const reel_weight *weight) {
    reel_json_out_object_begin(out);
    reel_json_out_key(out, "name");
    reel_json_out_string(out, weight->name);
    reel_json_out_key(out, "dtype");
    reel_json_out_string(out, weight->dtype);
    reel_json_out_key(out, "shape");
    reel_json_out_array_begin(out);
    for (int k = 0; k < weight->rank; k++)
        reel_json_out_int(out, weight->dim[k]);
    reel_json_out_end(out);
    reel_json_out_key(out, "bytes");
    reel_json_out_int(out, weight->n_bytes);
    reel_json_out_end(out);
}

static void write_file(reel_json_out *out, const reel_weights *weights, int file) {
    reel_json_out_object_begin(out);
    reel_json_out_key(out, "path");
    reel_json_out_string(out, reel_weights_file(weights, file));
    reel_json_out_key(out, "metadata");
    reel_json_out_object_begin(out);
    for (int64_t k = 0; k < reel_weights_metadata_count(weights, file); k++) {
        const char *key, *value;
        reel_weights_metadata_at(weights, file, k, &key, &value);
        reel_json_out_key(out, key);
        reel_json_out_string(out, value);
    }
    reel_json_out_end(out);
    reel_json_out_end(out);
}

static reel_status print_json(reel_env *env, const reel_weights *weights) {
    reel_json_out out;
    reel_json_out_init(&out, env);
    reel_json_out_object_begin(&out);
    reel_json_out_key(&out, "files");
    reel_json_out_array_begin(&out);
    for (int file = 0; file < reel_weights_files(weights); file++)
        write_file(&out, weights, file);
    reel_json_out_end(&out);
    reel_json_out_key(&out, "tensors");
    reel_json_out_array_begin(&out);
    for (int64_t i = 0; i < reel_weights_count(weights); i++) {
        const reel_weight weight = reel_weights_at(weights, i);
        write_weight(&out, &weight);
    }
    reel_json_out_end(&out);
    const totals sum = total_of(weights);
    reel_json_out_key(&out, "elements");
    reel_json_out_int(&out, sum.n_elements);
    reel_json_out_key(&out, "bytes");
    reel_json_out_int(&out, sum.n_bytes);
    reel_json_out_end(&out);
    const char *text;
    int64_t bytes;
    const reel_status status = reel_json_out_text(&out, &text, &bytes);
    if (status == REEL_OK) printf("%s\n", text);
    reel_json_out_deinit(&out);
    return status;
}

static reel_status show_model(reel_env *env, const char *given, bool json) {
    char path[REEL_HUB_PATH];
    const reel_status found = reel_hub_find(env, given, path);
    return found == REEL_OK ? reel_info_model(env, path, json) : found;
}

static reel_status show_weights(reel_env *env, const char *path, bool json) {
    reel_weights *weights;
    reel_status status = reel_weights_open(env, path, &weights);
    if (status != REEL_OK) return status;
    if (json)
        status = print_json(env, weights);
    else
        print_table(weights);
    reel_weights_close(&weights);
    return status;
}

/* A video or picture, by its name. */
static bool is_media(const char *path) {
    static const char *const extension[] = {".mp4", ".m4v", ".mov",  ".webm", ".mkv", ".gif",
                                            ".png", ".jpg", ".jpeg", ".webp", ".apng"};
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot && i < sizeof extension / sizeof *extension; i++)
        if (strcasecmp(dot, extension[i]) == 0) return true;
    return false;
}

/* What is no file is a model: its folder, or its name in the cache. Other files are weights. */
static reel_status show(reel_env *env, const char *given, bool json) {
    const reel_path_kind kind = reel_path_look(given);
    if (is_media(given) && kind != REEL_PATH_FOLDER) return reel_info_media(env, given, json);
    return kind == REEL_PATH_FILE ? show_weights(env, given, json) : show_model(env, given, json);
}

static int run(int argc, const char *const *argv) {
    info_options o = {0};
    reel_parsed parsed;
    int exit_code;
    if (!reel_command_parse(&usage, argc, argv, &o, &parsed, &exit_code)) return exit_code;
    reel_env *env;
    if (!reel_command_env(&usage, &env)) return REEL_EXIT_FAILURE;
    const reel_status status = show(env, parsed.operand[0], o.json);
    exit_code = status == REEL_OK ? REEL_EXIT_OK : reel_command_fail(&usage, env);
    reel_env_free(&env);
    return exit_code;
}

const reel_command reel_command_info = {.usage = &usage, .run = run};
