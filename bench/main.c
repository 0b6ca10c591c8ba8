/* build/bench [--isa LEVEL] [--threads N] [--seconds S] [--only TEXT] [group...] */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct group {
    const char *name;
    void (*run)(bench *b);
    bool wanted;
} group;

static group groups[] = {
#define BENCH_GROUP(name) {#name, bench_##name, false},
#include "groups.def"
#undef BENCH_GROUP
};
enum { N_GROUPS = sizeof groups / sizeof *groups };

static int usage(const char *what, const char *got) {
    fprintf(stderr, "bench: %s, got '%s'\n", what, got);
    fprintf(
        stderr,
        "usage: bench [--isa LEVEL] [--threads N] [--seconds S] [--only TEXT] [group...]\nlevels:");
    for (int i = 0; i < REEL_ISA_COUNT; i++)
        fprintf(stderr, " %s", reel_isa_name((reel_isa)i));
    fprintf(stderr, "\ngroups:");
    for (int i = 0; i < N_GROUPS; i++)
        fprintf(stderr, " %s", groups[i].name);
    fprintf(stderr, "\n");
    return 2;
}

static bool want_group(const char *name) {
    for (int i = 0; i < N_GROUPS; i++)
        if (strcmp(groups[i].name, name) == 0) return groups[i].wanted = true;
    return false;
}

static void print_machine(void) {
    char line[512], model[256] = "unknown";
    FILE *f = fopen("/proc/cpuinfo", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "model name : %255[^\n]", model) == 1) break;
    if (f) fclose(f);
    printf("machine: %s\n", model);
}

int main(int argc, char **argv) {
    bench b = {.isa = reel_isa_detect(), .budget_s = 0.2};
    reel_env_options options = reel_env_options_default();
    bool some = false;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--isa") == 0) {
            const reel_isa isa = reel_isa_parse(value);
            if (isa == REEL_ISA_COUNT) return usage("--isa needs a level", value);
            if (isa < b.isa) b.isa = isa;
            i++;
        } else if (strcmp(argv[i], "--threads") == 0) {
            options.n_threads = atoi(value);
            if (options.n_threads < 1) return usage("--threads needs a count", value);
            i++;
        } else if (strcmp(argv[i], "--seconds") == 0) {
            b.budget_s = atof(value);
            if (!(b.budget_s > 0)) return usage("--seconds needs a time", value);
            i++;
        } else if (strcmp(argv[i], "--only") == 0) {
            if (!*value) return usage("--only needs a part of a shape or dtype", value);
            b.only = value;
            i++;
        } else if (want_group(argv[i])) {
            some = true;
        } else {
            return usage("no such group", argv[i]);
        }
    }
    if (reel_env_new(&options, &b.env) != REEL_OK ||
        reel_cpu_table(b.env, b.isa, &b.table) != REEL_OK) {
        fprintf(stderr, "bench: %s\n", b.env ? reel_env_message(b.env) : "no environment");
        return 1;
    }
    b.n_threads = reel_threads_count(b.env->threads);
    bench_limit_peers(b.n_threads, b.isa);
    print_machine();
    bench_measure_ceilings(&b);
    bench_print_ceilings(&b);
    for (int i = 0; i < N_GROUPS; i++)
        if (groups[i].wanted || !some) groups[i].run(&b);
    reel_kernel_table_free(b.env, &b.table);
    reel_env_free(&b.env);
    return bench_failed();
}
