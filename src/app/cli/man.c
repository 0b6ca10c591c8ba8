/* reel man: manual pages, made of the commands' tables. */
#include <string.h>

#include "app/cli/command.h"

static const reel_usage usage = {
    .command = "man",
    .summary = "Print the manual page of reel, or of one command, in roff",
    .details = "Read one with: reel man generate | man -l -",
    .operands = "[COMMAND]",
    .max_operands = 1,
};

/* Text for roff: hyphens that are meant as such, backslashes, and no dot that begins a line. */
static void print_text(const char *text) {
    bool at_start = true;
    for (; *text; text++) {
        if (at_start && (*text == '.' || *text == '\'')) printf("\\&");
        if (*text == '-')
            printf("\\-");
        else if (*text == '\\')
            printf("\\e");
        else
            putchar(*text);
        at_start = *text == '\n';
    }
}

static void print_title(const char *name) {
    printf(".TH \"");
    for (; *name; name++)
        putchar(*name >= 'a' && *name <= 'z' ? *name - 'a' + 'A' : *name);
    printf("\" 1 \"\" \"reel %s\" \"reel\"\n", reel_version());
}

static void print_option(const reel_option *o) {
    char range[256];
    printf(".TP\n");
    if (o->short_name) printf(".BR \\-%c \", \" \\-\\-", o->short_name);
    if (!o->short_name) printf(".BR \\-\\-");
    print_text(o->name);
    printf("%s%s%s\n", o->value ? " \" \\fI" : "", o->value ? o->value : "",
           o->value ? "\\fP\"" : "");
    print_text(o->help);
    reel_option_range(o, range, sizeof range);
    if (range[0]) {
        printf(o->kind == REEL_OPTION_CHOICE ? ": " : "; ");
        print_text(range);
    }
    if (o->initial) {
        printf(" (default ");
        print_text(o->initial);
        printf(")");
    }
    printf("\n");
}

static void command_page(const reel_usage *u) {
    char name[64];
    snprintf(name, sizeof name, "reel-%s", u->command);
    print_title(name);
    printf(".SH NAME\nreel\\-%s \\- ", u->command);
    print_text(u->summary);
    printf("\n.SH SYNOPSIS\n.B reel %s\n", u->command);
    if (reel_usage_option(u, 0)) printf("[\\fIOPTION\\fP...]\n");
    if (u->operands) printf("\\fI%s\\fP\n", u->operands);
    if (u->details) {
        printf(".SH DESCRIPTION\n");
        print_text(u->details);
        printf("\n");
    }
    if (reel_usage_option(u, 0)) printf(".SH OPTIONS\n");
    const reel_option *o;
    for (int i = 0; (o = reel_usage_option(u, i)); i++)
        print_option(o);
    printf(".SH \"EXIT STATUS\"\n0: done. 1: failed. 2: the command line was wrong.\n"
           ".SH \"SEE ALSO\"\n.BR reel (1)\n");
}

static void main_page(void) {
    const reel_command *c;
    print_title("reel");
    printf(".SH NAME\nreel \\- a video generation system\n"
           ".SH SYNOPSIS\n.B reel\n\\fICOMMAND\\fP [\\fIOPTION\\fP...] [\\fIOPERAND\\fP...]\n"
           ".SH COMMANDS\n");
    for (int i = 0; (c = reel_command_at(i)); i++) {
        printf(".TP\n.BR reel\\-%s (1)\n", c->usage->command);
        print_text(c->usage->summary);
        printf("\n");
    }
    printf(".SH \"EXIT STATUS\"\n0: done. 1: failed. 2: the command line was wrong.\n");
}

static int run(int argc, const char *const *argv) {
    reel_parsed parsed;
    int exit_code;
    const reel_command *c;
    if (!reel_command_parse(&usage, argc, argv, NULL, &parsed, &exit_code)) return exit_code;
    if (!parsed.n_operands) {
        main_page();
        return REEL_EXIT_OK;
    }
    for (int i = 0; (c = reel_command_at(i)); i++) {
        if (strcmp(c->usage->command, parsed.operand[0]) != 0) continue;
        command_page(c->usage);
        return REEL_EXIT_OK;
    }
    fprintf(stderr, "reel man: got the command '%s', which there is not; 'reel help' lists them\n",
            parsed.operand[0]);
    return REEL_EXIT_USAGE;
}

const reel_command reel_command_man = {.usage = &usage, .run = run};
