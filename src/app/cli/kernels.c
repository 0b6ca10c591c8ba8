/* reel kernels: what computes each operation on this machine. */
#include <string.h>

#include "app/cli/command.h"
#include "base/json_out.h"

typedef struct kernels_options {
    const char *isa;
    bool json;
} kernels_options;

static const reel_option options[] = {
    {.name = "isa",
     .value = "LEVEL",
     .help = "use nothing stronger than this",
     .choices = {"portable", "avx2", "avx512", "avx512_bf16", "amx"},
     .offset = offsetof(kernels_options, isa),
     .kind = REEL_OPTION_CHOICE},
    {.name = "json",
     .help = "print JSON instead of a table",
     .offset = offsetof(kernels_options, json),
     .kind = REEL_OPTION_FLAG},
};

static const reel_usage usage = {
    .command = "kernels",
    .summary = "List every operation with the kernels this machine has for it, strongest first",
    .option = options,
    .n_options = sizeof options / sizeof *options,
};

static void print_row(void *context, const char *operation, int n, const char *const *kernel) {
    (void)context;
    printf("%-24s", operation);
    if (n == 0) printf(" (renames memory, nothing to compute)");
    for (int i = 0; i < n; i++)
        printf(" %s", kernel[i]);
    printf("\n");
}

static void write_row(void *context, const char *operation, int n, const char *const *kernel) {
    reel_json_out *out = context;
    reel_json_out_object_begin(out);
    reel_json_out_key(out, "operation");
    reel_json_out_string(out, operation);
    reel_json_out_key(out, "kernels");
    reel_json_out_array_begin(out);
    for (int i = 0; i < n; i++)
        reel_json_out_string(out, kernel[i]);
    reel_json_out_end(out);
    reel_json_out_end(out);
}

/* The level that counts: the machine's own, or isa when that is weaker. */
static const char *used_level(const char *isa) {
    const char *const machine = reel_machine_level();
    for (const char *const *level = reel_machine_levels(); isa && *level; level++) {
        if (strcmp(*level, machine) == 0) break;
        if (strcmp(*level, isa) == 0) return isa;
    }
    return machine;
}

static reel_status print_table(reel_env *env, const char *isa) {
    printf("machine %s, used up to %s; the first kernel that takes a call computes it\n\n",
           reel_machine_level(), used_level(isa));
    return reel_kernels_list(env, isa, print_row, NULL);
}

static reel_status print_json(reel_env *env, const char *isa) {
    reel_json_out out;
    reel_json_out_init(&out, env);
    reel_json_out_object_begin(&out);
    reel_json_out_key(&out, "machine");
    reel_json_out_string(&out, reel_machine_level());
    reel_json_out_key(&out, "used_up_to");
    reel_json_out_string(&out, used_level(isa));
    reel_json_out_key(&out, "operations");
    reel_json_out_array_begin(&out);
    reel_status status = reel_kernels_list(env, isa, write_row, &out);
    reel_json_out_end(&out);
    reel_json_out_end(&out);
    const char *text;
    int64_t bytes;
    if (status == REEL_OK) status = reel_json_out_text(&out, &text, &bytes);
    if (status == REEL_OK) printf("%s\n", text);
    reel_json_out_deinit(&out);
    return status;
}

static int run(int argc, const char *const *argv) {
    kernels_options o = {0};
    reel_parsed parsed;
    int exit_code;
    if (!reel_command_parse(&usage, argc, argv, &o, &parsed, &exit_code)) return exit_code;
    reel_env *env;
    if (!reel_command_env(&usage, &env)) return REEL_EXIT_FAILURE;
    const reel_status status = o.json ? print_json(env, o.isa) : print_table(env, o.isa);
    exit_code = status == REEL_OK ? REEL_EXIT_OK : reel_command_fail(&usage, env);
    reel_env_free(&env);
    return exit_code;
}

const reel_command reel_command_kernels = {.usage = &usage, .run = run};
