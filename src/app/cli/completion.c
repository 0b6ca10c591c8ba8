/* reel completion: scripts that teach a shell the commands and options, made of their tables. */
#include <string.h>

#include "app/cli/command.h"

static const reel_usage usage = {
    .command = "completion",
    .summary = "Print a completion script for a shell: bash, zsh or fish",
    .details = "bash: reel completion bash >~/.local/share/bash-completion/completions/reel\n"
               "zsh:  reel completion zsh >a folder of $fpath/_reel\n"
               "fish: reel completion fish >~/.config/fish/completions/reel.fish",
    .operands = "SHELL",
    .min_operands = 1,
    .max_operands = 1,
};

static bool takes_file(const reel_option *o) {
    return o->value && strcmp(o->value, "FILE") == 0;
}
static bool takes_folder(const reel_option *o) {
    return o->value && strcmp(o->value, "DIR") == 0;
}

/* Text within single quotes of a shell: a quote ends them, stands escaped, and begins them anew. */
static void print_quoted(const char *text, const char *also_escaped) {
    for (; *text; text++) {
        if (*text == '\'')
            printf("'\\''");
        else if (strchr(also_escaped, *text))
            printf("\\%c", *text);
        else
            putchar(*text);
    }
}

static void print_names(const char *before) {
    const reel_command *c;
    for (int i = 0; (c = reel_command_at(i)); i++)
        printf("%s%s", i ? " " : before, c->usage->command);
    printf(" help");
}

/* ---- bash ---- */

static void bash_option(const reel_option *o) {
    if (o->kind == REEL_OPTION_FLAG) return;
    printf("        --%s", o->name);
    if (o->short_name) printf("|-%c", o->short_name);
    if (o->kind == REEL_OPTION_CHOICE) {
        printf(") COMPREPLY=($(compgen -W '");
        for (int i = 0; i < REEL_MAX_CHOICES && o->choices[i]; i++)
            printf("%s%s", i ? " " : "", o->choices[i]);
        printf("' -- \"$word\")); return ;;\n");
    } else {
        printf(") %s return ;;\n", takes_file(o)     ? "COMPREPLY=($(compgen -f -- \"$word\"));"
                                   : takes_folder(o) ? "COMPREPLY=($(compgen -d -- \"$word\"));"
                                                     : "COMPREPLY=();");
    }
}

static void bash(void) {
    const reel_command *c;
    const reel_option *o;
    printf("# bash completion for reel\n"
           "_reel() {\n"
           "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
           "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n");
    print_names("        COMPREPLY=($(compgen -W '");
    printf(" --help --version' -- \"$word\"))\n"
           "        return\n"
           "    fi\n"
           "    local options=--help\n"
           "    case ${COMP_WORDS[1]} in\n");
    for (int i = 0; (c = reel_command_at(i)); i++) {
        printf("    %s)\n        case $before in\n", c->usage->command);
        for (int k = 0; (o = reel_usage_option(c->usage, k)); k++)
            bash_option(o);
        printf("        esac\n        options='--help");
        for (int k = 0; (o = reel_usage_option(c->usage, k)); k++)
            printf(" --%s", o->name);
        printf("' ;;\n");
    }
    print_names("    help) COMPREPLY=($(compgen -W '");
    printf("' -- \"$word\")); return ;;\n"
           "    esac\n"
           "    case $word in\n"
           "    -*) COMPREPLY=($(compgen -W \"$options\" -- \"$word\")) ;;\n"
           "    *) COMPREPLY=($(compgen -f -- \"$word\")) ;;\n"
           "    esac\n"
           "}\n"
           "complete -o filenames -F _reel reel\n");
}

/* ---- zsh ---- */

static void zsh_option(const reel_option *o) {
    printf(" \\\n            ");
    if (o->short_name)
        printf("'(-%c --%s)'{-%c%s,--%s%s}'[", o->short_name, o->name, o->short_name,
               o->value ? "+" : "", o->name, o->value ? "=" : "");
    else
        printf("'--%s%s[", o->name, o->value ? "=" : "");
    print_quoted(o->help, "[]:\\");
    putchar(']');
    if (o->value) printf(":%s:", o->value);
    if (o->kind == REEL_OPTION_CHOICE) {
        putchar('(');
        for (int i = 0; i < REEL_MAX_CHOICES && o->choices[i]; i++)
            printf("%s%s", i ? " " : "", o->choices[i]);
        putchar(')');
    } else if (takes_file(o)) {
        printf("_files");
    } else if (takes_folder(o)) {
        printf("_files -/");
    }
    putchar('\'');
}

static void zsh(void) {
    const reel_command *c;
    const reel_option *o;
    printf("#compdef reel\n"
           "_reel() {\n"
           "    if (( CURRENT == 2 )); then\n"
           "        local -a commands=(");
    for (int i = 0; (c = reel_command_at(i)); i++) {
        printf("\n            '%s:", c->usage->command);
        print_quoted(c->usage->summary, ":\\");
        putchar('\'');
    }
    printf("\n            'help:Explain a command')\n"
           "        _describe command commands\n"
           "        return\n"
           "    fi\n"
           "    local command=$words[2]\n"
           "    shift words\n"
           "    (( CURRENT-- ))\n"
           "    case $command in\n");
    for (int i = 0; (c = reel_command_at(i)); i++) {
        printf("    %s)\n        _arguments '--help[explain the command]'", c->usage->command);
        for (int k = 0; (o = reel_usage_option(c->usage, k)); k++)
            zsh_option(o);
        printf("%s ;;\n", c->usage->max_operands ? " '*:file:_files'" : "");
    }
    printf("    esac\n"
           "}\n"
           "_reel \"$@\"\n");
}

/* ---- fish ---- */

static void fish_option(const char *command, const reel_option *o) {
    printf("complete -c reel -n '__fish_seen_subcommand_from %s' -l %s", command, o->name);
    if (o->short_name) printf(" -s %c", o->short_name);
    if (o->kind == REEL_OPTION_CHOICE) {
        printf(" -x -a '");
        for (int i = 0; i < REEL_MAX_CHOICES && o->choices[i]; i++)
            printf("%s%s", i ? " " : "", o->choices[i]);
        putchar('\'');
    } else if (takes_file(o)) {
        printf(" -r -F");
    } else if (takes_folder(o)) {
        printf(" -x -a '(__fish_complete_directories)'");
    } else if (o->value) {
        printf(" -x");
    }
    printf(" -d '");
    /* within fish's single quotes a backslash escapes quotes and itself */
    for (const char *t = o->help; *t; t++)
        printf("%s%c", *t == '\'' || *t == '\\' ? "\\" : "", *t);
    printf("'\n");
}

static void fish(void) {
    const reel_command *c;
    const reel_option *o;
    printf("# fish completion for reel\n"
           "complete -c reel -f -n __fish_use_subcommand -a help -d 'Explain a command'\n");
    for (int i = 0; (c = reel_command_at(i)); i++) {
        printf("complete -c reel -f -n __fish_use_subcommand -a %s -d '%s'\n", c->usage->command,
               c->usage->summary);
        for (int k = 0; (o = reel_usage_option(c->usage, k)); k++)
            fish_option(c->usage->command, o);
    }
}

static int run(int argc, const char *const *argv) {
    static const struct {
        const char *name;
        void (*print)(void);
    } shell[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    reel_parsed parsed;
    int exit_code;
    if (!reel_command_parse(&usage, argc, argv, NULL, &parsed, &exit_code)) return exit_code;
    for (size_t i = 0; i < sizeof shell / sizeof *shell; i++) {
        if (strcmp(parsed.operand[0], shell[i].name) != 0) continue;
        shell[i].print();
        return REEL_EXIT_OK;
    }
    fprintf(stderr, "reel completion: got '%s', wanted bash, zsh or fish\n", parsed.operand[0]);
    return REEL_EXIT_USAGE;
}

const reel_command reel_command_completion = {.usage = &usage, .run = run};
