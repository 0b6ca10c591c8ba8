/* The option parser: one table per command drives parsing, defaults, ranges and --help.
 *
 * A table's rows point into the command's own struct by offset. Values are read strictly: a number
 * with text behind it, not a number, or outside its range is refused with what was given and what
 * was wanted. Nothing is printed here; the caller decides where messages and help go.
 */
#ifndef REEL_APP_CLI_OPTIONS_H
#define REEL_APP_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "reel/reel.h"

enum { REEL_MAX_OPERANDS = 64, REEL_MAX_CHOICES = 12, REEL_MAX_OPTIONS = 64 };

typedef enum reel_option_kind {
    REEL_OPTION_FLAG,   /* bool; takes no value */
    REEL_OPTION_COUNT,  /* int64_t in [min,max] */
    REEL_OPTION_NUMBER, /* double in [min,max]; never NaN */
    REEL_OPTION_CHOICE, /* const char *, one of choices */
    REEL_OPTION_TEXT,   /* const char *, borrowed from argv; not empty */
    REEL_OPTION_BYTES,  /* int64_t in [min,max]: "512M", "1.5G"; K M G T are powers of 1024 */
    REEL_OPTION_SIZE,   /* reel_option_size: "832x480", both in [min,max] */
    REEL_OPTION_SEED,   /* int64_t, 0 to 2^63 - 1; min and max are not looked at */
    REEL_OPTION_LIST,   /* reel_option_list; may be given several times */
} reel_option_kind;

enum { REEL_MAX_LIST = 64 };
/* What a repeated option was given, in that order; borrowed from argv. */
typedef struct reel_option_list {
    const char *text[REEL_MAX_LIST];
    int n;
} reel_option_list;

typedef struct reel_option_size {
    int64_t width, height; /* 0 when not given */
} reel_option_size;

typedef struct reel_option {
    const char *name;    /* "threads" for --threads */
    char short_name;     /* 't' for -t; 0: none */
    const char *value;   /* what help calls the value: "N"; NULL for a flag. FILE and DIR are
                            completed by the shell */
    const char *help;    /* one line */
    const char *initial; /* the default, written as a user would; NULL: absent (false, 0 or NULL) */
    const char *choices[REEL_MAX_CHOICES]; /* ended by NULL */
    double min, max; /* whole numbers up to 2^53 for COUNT, where a double holds them exactly */
    size_t offset;   /* of the field in the command's struct */
    reel_option_kind kind;
} reel_option;

/* What a command line is made of: the rows, and the operands that are no options. */
typedef struct reel_usage {
    const char *command;  /* "info" */
    const char *summary;  /* one line, a capital, no full stop */
    const char *details;  /* more for the man page and --help, whole sentences; NULL: nothing */
    const char *operands; /* "FILE", for help; NULL: none */
    int min_operands, max_operands;
    const reel_option *option; /* [n_options], at most REEL_MAX_OPTIONS in all; --help is understood
                                  by every command */
    int n_options;
    const reel_option *shared; /* [n_shared] more of them, which other commands have too */
    int n_shared;
} reel_usage;

/* Row i of both: the command's own, then those it shares. NULL behind the last. */
const reel_option *reel_usage_option(const reel_usage *usage, int i);

typedef struct reel_parsed {
    const char *operand[REEL_MAX_OPERANDS]; /* borrowed from argv */
    int n_operands;
    uint64_t given;    /* bit i: row i was on the command line; reel_option_given reads it */
    bool help;         /* --help was given: nothing else was looked at */
    char message[512]; /* why it was refused: flag, value given, values accepted */
} reel_parsed;

/* Fills the struct at values: the defaults, then what argv (the words behind the command) says.
 * Options and operands may alternate; "--name value", "--name=value",
 * "-n value", "-nvalue" and "--" are understood.
 * REEL_E_ARG with parsed->message otherwise. */
REEL_MUST_USE reel_status reel_options_parse(const reel_usage *usage, int argc,
                                             const char *const *argv, void *values,
                                             reel_parsed *parsed);

/* Whether --name was on the command line. A name no row has is a bug (assert). */
bool reel_option_given(const reel_usage *usage, const reel_parsed *parsed, const char *name);

/* Says that it was. */
void reel_option_mark(const reel_usage *usage, reel_parsed *parsed, const char *name);

/* What an option takes besides its name: "; 1 to 256", ": a, b or c", "; 64M to 8G" into text. */
void reel_option_range(const reel_option *option, char *text, size_t text_bytes);

/* The command's help: synopsis, summary and one line per option with default and range. */
void reel_options_help(const reel_usage *usage, FILE *out);

#endif
