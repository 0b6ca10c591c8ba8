#include "app/cli/command.h"

bool reel_command_parse(const reel_usage *usage, int argc, const char *const *argv, void *values,
                        reel_parsed *parsed, int *exit_code) {
    if (reel_options_parse(usage, argc, argv, values, parsed) != REEL_OK) {
        fprintf(stderr, "reel %s: %s\n", usage->command, parsed->message);
        *exit_code = REEL_EXIT_USAGE;
        return false;
    }
    if (parsed->help) {
        reel_options_help(usage, stdout);
        *exit_code = REEL_EXIT_OK;
        return false;
    }
    return true;
}

int reel_command_fail(const reel_usage *usage, const reel_env *env) {
    fprintf(stderr, "reel %s: %s\n", usage->command, reel_env_message(env));
    return REEL_EXIT_FAILURE;
}

static void print_log(void *context, reel_log_level level, const char *text) {
    (void)context;
    static const char *const name[] = {"error", "warning", "info", "debug"};
    fprintf(stderr, "reel: %s: %s\n", name[level], text);
}

bool reel_command_env_for(const reel_usage *usage, int n_threads, reel_log_level log_max,
                          reel_env **env) {
    reel_env_options options = reel_env_options_default();
    options.n_threads = n_threads;
    options.log = print_log;
    options.log_max = log_max;
    const reel_status status = reel_env_new(&options, env);
    if (status == REEL_OK) return true;
    fprintf(stderr, "reel %s: no environment: %s\n", usage->command, reel_status_name(status));
    return false;
}

bool reel_command_env(const reel_usage *usage, reel_env **env) {
    return reel_command_env_for(usage, 1, REEL_LOG_WARN, env);
}

bool reel_command_env_with(const reel_usage *usage, int n_threads, reel_env **env) {
    return reel_command_env_for(usage, n_threads, REEL_LOG_WARN, env);
}
