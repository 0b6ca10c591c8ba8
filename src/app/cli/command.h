/* A command of the program: its usage table and what it does. One file per command.
 *
 * Exit codes: 0 done, 1 failed, 2 the command line was wrong. Results go to stdout, everything else
 * to stderr.
 */
#ifndef REEL_APP_CLI_COMMAND_H
#define REEL_APP_CLI_COMMAND_H

#include "app/cli/options.h"

enum { REEL_EXIT_OK = 0, REEL_EXIT_FAILURE = 1, REEL_EXIT_USAGE = 2 };

typedef struct reel_command {
    const reel_usage *usage;
    /* argv: the words behind the command's name. Returns the exit code. */
    int (*run)(int argc, const char *const *argv);
} reel_command;

extern const reel_command reel_command_animate;
extern const reel_command reel_command_blend;
extern const reel_command reel_command_completion;
extern const reel_command reel_command_connect;
extern const reel_command reel_command_depth;
extern const reel_command reel_command_edit;
extern const reel_command reel_command_extend;
extern const reel_command reel_command_generate;
extern const reel_command reel_command_eval;
extern const reel_command reel_command_info;
extern const reel_command reel_command_init;
extern const reel_command reel_command_kernels;
extern const reel_command reel_command_loop;
extern const reel_command reel_command_recut;
extern const reel_command reel_command_remix;
extern const reel_command reel_command_stereo;
extern const reel_command reel_command_storyboard;
extern const reel_command reel_command_train;
extern const reel_command reel_command_man;

/* The i-th command, in the order they are listed; NULL past the last one. */
const reel_command *reel_command_at(int i);
extern const reel_command reel_command_world;
extern const reel_command reel_command_sheet;

/* Parses for a command: true when it is to go on. Otherwise help was printed or the command line
 * refused, and *exit_code says how the program ends. */
bool reel_command_parse(const reel_usage *usage, int argc, const char *const *argv, void *values,
                        reel_parsed *parsed, int *exit_code);

/* Prints "reel COMMAND: MESSAGE" with the environment's message and returns REEL_EXIT_FAILURE. */
int reel_command_fail(const reel_usage *usage, const reel_env *env);

/* An environment with one thread that logs warnings to stderr; false with a message printed when
 * there is no memory. The caller frees it. */
bool reel_command_env(const reel_usage *usage, reel_env **env);
/* The same with n_threads threads; 0: one per core. */
bool reel_command_env_with(const reel_usage *usage, int n_threads, reel_env **env);

/* The same with n_threads lanes (0: one for each core) and lines up to log_max. */
bool reel_command_env_for(const reel_usage *usage, int n_threads, reel_log_level log_max,
                          reel_env **env);

#endif
