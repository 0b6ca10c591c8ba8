#include "app/cli/options.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

__attribute__((format(printf, 2, 3))) static reel_status refuse(reel_parsed *parsed,
                                                                const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(parsed->message, sizeof parsed->message, format, arguments);
    va_end(arguments);
    return REEL_E_ARG;
}

/* "a, b or c" */
static void list_choices(const reel_option *option, char *text, size_t text_bytes) {
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < REEL_MAX_CHOICES && option->choices[i] && used < text_bytes; i++) {
        const bool last = i + 1 == REEL_MAX_CHOICES || !option->choices[i + 1];
        const char *between = i == 0 ? "" : last ? " or " : ", ";
        used +=
            (size_t)snprintf(text + used, text_bytes - used, "%s%s", between, option->choices[i]);
    }
}

/* A whole number in decimal, all of text; no blanks, no base prefix. */
static bool read_count(const char *text, int64_t *value) {
    const char *digits = text + (*text == '-' || *text == '+');
    if (*digits < '0' || *digits > '9') return false;
    char *end;
    errno = 0;
    const long long number = strtoll(text, &end, 10);
    *value = number;
    return *end == '\0' && errno == 0;
}

/* A finite decimal number, all of text; strtod would take "0x1p3", "inf" and leading blanks too. */
static bool read_number(const char *text, double *value) {
    if (text[strspn(text, "+-.0123456789eE")] != '\0' || *text == '\0') return false;
    char *end;
    *value = strtod(text, &end);
    return *end == '\0' && isfinite(*value);
}

static reel_status store(const reel_option *option, const char *text, void *values,
                         reel_parsed *parsed) {
    void *field = (char *)values + option->offset;
    switch (option->kind) {
    case REEL_OPTION_FLAG:
        *(bool *)field = true;
        return REEL_OK;
    case REEL_OPTION_COUNT: {
        int64_t count;
        if (!read_count(text, &count) || (double)count < option->min ||
            (double)count > option->max) {
            return refuse(parsed, "--%s: got '%s', wanted a whole number from %.0f to %.0f",
                          option->name, text, option->min, option->max);
        }
        *(int64_t *)field = count;
        return REEL_OK;
    }
    case REEL_OPTION_NUMBER: {
        double number;
        if (!read_number(text, &number) || number < option->min || number > option->max) {
            return refuse(parsed, "--%s: got '%s', wanted a number from %g to %g", option->name,
                          text, option->min, option->max);
        }
        *(double *)field = number;
        return REEL_OK;
    }
    case REEL_OPTION_CHOICE:
        for (int i = 0; i < REEL_MAX_CHOICES && option->choices[i]; i++) {
            if (strcmp(text, option->choices[i]) == 0) {
                *(const char **)field = option->choices[i];
                return REEL_OK;
            }
        }
        char choices[256];
        list_choices(option, choices, sizeof choices);
        return refuse(parsed, "--%s: got '%s', wanted %s", option->name, text, choices);
    case REEL_OPTION_TEXT:
        if (*text == '\0') {
            return refuse(parsed, "--%s: got nothing, wanted %s", option->name, option->value);
        }
        *(const char **)field = text;
        return REEL_OK;
    }
    return REEL_E_ARG;
}

static const reel_option *find(const reel_usage *usage, const char *name, size_t name_bytes) {
    for (int i = 0; i < usage->n_options; i++) {
        const char *candidate = usage->option[i].name;
        if (strlen(candidate) == name_bytes && memcmp(candidate, name, name_bytes) == 0) {
            return &usage->option[i];
        }
    }
    return NULL;
}

/* argv[*i] begins with "--" and has more behind it; moves *i over the value it takes. */
static reel_status parse_option(const reel_usage *usage, int argc, const char *const *argv, int *i,
                                void *values, reel_parsed *parsed) {
    const char *name = argv[*i] + 2;
    const size_t name_bytes = strcspn(name, "=");
    const reel_option *option = find(usage, name, name_bytes);
    if (!option) {
        return refuse(parsed, "%s: no such option; 'reel %s --help' lists them", argv[*i],
                      usage->command);
    }
    const char *text = name[name_bytes] == '=' ? name + name_bytes + 1 : NULL;
    if (option->kind == REEL_OPTION_FLAG) {
        if (text) return refuse(parsed, "--%s: got '%s', wanted no value", option->name, text);
        return store(option, "", values, parsed);
    }
    if (!text && *i + 1 < argc) text = argv[++*i];
    if (!text) {
        return refuse(parsed, "--%s: got nothing, wanted %s", option->name, option->value);
    }
    return store(option, text, values, parsed);
}

reel_status reel_options_parse(const reel_usage *usage, int argc, const char *const *argv,
                               void *values, reel_parsed *parsed) {
    *parsed = (reel_parsed){0};
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0) break;
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            parsed->help = true;
            return REEL_OK;
        }
    }
    for (int i = 0; i < usage->n_options; i++) {
        const reel_option *option = &usage->option[i];
        if (!option->initial) continue;
        const reel_status status = store(option, option->initial, values, parsed);
        if (status != REEL_OK) return status; /* a bug of the table; the tests parse every one */
    }
    bool only_operands = false;
    for (int i = 0; i < argc; i++) {
        if (!only_operands && strcmp(argv[i], "--") == 0) {
            only_operands = true;
            continue;
        }
        if (!only_operands && strncmp(argv[i], "--", 2) == 0) {
            const reel_status status = parse_option(usage, argc, argv, &i, values, parsed);
            if (status != REEL_OK) return status;
            continue;
        }
        if (!only_operands && argv[i][0] == '-' && argv[i][1] != '\0') {
            return refuse(parsed, "%s: no such option; 'reel %s --help' lists them", argv[i],
                          usage->command);
        }
        if (parsed->n_operands == usage->max_operands) {
            return refuse(parsed, "got '%s' as well, wanted %s", argv[i],
                          usage->operands ? usage->operands : "no operand");
        }
        parsed->operand[parsed->n_operands++] = argv[i];
    }
    if (parsed->n_operands < usage->min_operands) {
        return refuse(parsed, "got %d operand%s, wanted %s", parsed->n_operands,
                      parsed->n_operands == 1 ? "" : "s", usage->operands);
    }
    return REEL_OK;
}

void reel_options_help(const reel_usage *usage, FILE *out) {
    fprintf(out, "usage: reel %s%s%s%s\n\n%s.\n", usage->command,
            usage->n_options ? " [OPTION...]" : "", usage->operands ? " " : "",
            usage->operands ? usage->operands : "", usage->summary);
    if (usage->n_options) fprintf(out, "\n");
    for (int i = 0; i < usage->n_options; i++) {
        const reel_option *option = &usage->option[i];
        char left[64], choices[256] = "";
        snprintf(left, sizeof left, "--%s%s%s", option->name, option->value ? " " : "",
                 option->value ? option->value : "");
        fprintf(out, "  %-18s %s", left, option->help);
        if (option->kind == REEL_OPTION_COUNT) {
            fprintf(out, "; %.0f to %.0f", option->min, option->max);
        } else if (option->kind == REEL_OPTION_NUMBER) {
            fprintf(out, "; %g to %g", option->min, option->max);
        } else if (option->kind == REEL_OPTION_CHOICE) {
            list_choices(option, choices, sizeof choices);
            fprintf(out, ": %s", choices);
        }
        if (option->initial) fprintf(out, " (default %s)", option->initial);
        fprintf(out, "\n");
    }
}
