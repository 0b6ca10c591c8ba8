/* The program: picks the command, makes sure its output arrived, returns its exit code. */
#include <string.h>

#include "app/cli/command.h"

static const reel_command *const commands[] = {
    &reel_command_generate,   &reel_command_animate,    &reel_command_extend,
    &reel_command_connect,    &reel_command_loop,       &reel_command_edit,
    &reel_command_remix,      &reel_command_blend,      &reel_command_recut,
    &reel_command_storyboard, &reel_command_stereo,     &reel_command_depth,
    &reel_command_sheet,      &reel_command_info,       &reel_command_init,
    &reel_command_train,      &reel_command_eval,       &reel_command_world,
    &reel_command_kernels,    &reel_command_completion, &reel_command_man,
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

const reel_command *reel_command_at(int i) {
    return i < N_COMMANDS ? commands[i] : NULL;
}

static void overview(FILE *out) {
    fprintf(out,
            "reel %s, a video generation system\n\n"
            "usage: reel COMMAND [OPTION...] [OPERAND...]\n\n",
            reel_version());
    for (int i = 0; i < N_COMMANDS; i++) {
        fprintf(out, "  %-10s %s\n", commands[i]->usage->command, commands[i]->usage->summary);
    }
    fprintf(out, "  %-10s %s\n", "help", "Explain a command: reel help COMMAND");
    fprintf(out, "\n  --version  print the version\n"
                 "  --help     this text; behind a command, that command's\n");
}

static const reel_command *find(const char *name) {
    for (int i = 0; i < N_COMMANDS; i++) {
        if (strcmp(name, commands[i]->usage->command) == 0) return commands[i];
    }
    fprintf(stderr, "reel: got the command '%s', wanted one of:", name);
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(stderr, " %s", commands[i]->usage->command);
    fprintf(stderr, " help\n");
    return NULL;
}

static int help(int argc, const char *const *argv) {
    if (argc == 0) {
        overview(stdout);
        return REEL_EXIT_OK;
    }
    if (argc > 1) {
        fprintf(stderr, "reel help: got '%s' as well, wanted one COMMAND\n", argv[1]);
        return REEL_EXIT_USAGE;
    }
    const reel_command *command = find(argv[0]);
    if (!command) return REEL_EXIT_USAGE;
    reel_options_help(command->usage, stdout);
    return REEL_EXIT_OK;
}

static int dispatch(int argc, const char *const *argv) {
    if (argc < 2) {
        overview(stderr);
        return REEL_EXIT_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("reel %s\n", reel_version());
        return REEL_EXIT_OK;
    }
    if (strcmp(argv[1], "help") == 0) return help(argc - 2, argv + 2);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) return help(0, NULL);
    const reel_command *command = find(argv[1]);
    return command ? command->run(argc - 2, argv + 2) : REEL_EXIT_USAGE;
}

int main(int argc, char **argv) {
    const int code = dispatch(argc, (const char *const *)argv);
    /* A full disk shows only when the last buffer is written. */
    const bool lost = fflush(stdout) != 0 || ferror(stdout);
    if (lost) fprintf(stderr, "reel: standard output could not be written\n");
    return lost && code == REEL_EXIT_OK ? REEL_EXIT_FAILURE : code;
}
