#include "app/cli/options.h"

#include <assert.h>
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

/* A number of bytes: decimals, then nothing or one of K M G T, which "iB" or "B" may follow. */
static bool read_bytes(const char *text, double *bytes) {
    static const char units[] = "KMGT";
    char number[64];
    const size_t digits = strspn(text, "0123456789.");
    if (digits == 0 || digits >= sizeof number) return false;
    memcpy(number, text, digits);
    number[digits] = '\0';
    if (!read_number(number, bytes)) return false;
    const char *unit = text + digits;
    if (*unit == '\0') return true;
    const char *which = strchr(units, *unit);
    if (!which) return false;
    *bytes *= (double)((int64_t)1 << (10 * (which - units + 1)));
    return unit[1] == '\0' || strcmp(unit + 1, "B") == 0 || strcmp(unit + 1, "iB") == 0;
}

/* "832x480", also with an X or a star between. */
static bool read_size(const char *text, reel_option_size *size) {
    const size_t digits = strspn(text, "0123456789");
    char number[32];
    if (digits == 0 || digits >= sizeof number || !strchr("xX*", text[digits]) || !text[digits])
        return false;
    memcpy(number, text, digits);
    number[digits] = '\0';
    return read_count(number, &size->width) && text[digits + 1] >= '0' && text[digits + 1] <= '9' &&
           read_count(text + digits + 1, &size->height);
}

/* A number of bytes as one would write it: "64M". */
static void bytes_text(double bytes, char *text, size_t text_bytes) {
    const char *unit = "";
    static const char *const units[] = {"K", "M", "G", "T"};
    for (int i = 0; i < 4 && bytes >= 1024; i++) {
        bytes /= 1024;
        unit = units[i];
    }
    snprintf(text, text_bytes, "%g%s", bytes, unit);
}

static bool inside(const reel_option *option, double x) {
    return x >= option->min && x <= option->max;
}

/* The name it was given by does not matter: messages use the long one. */
static reel_status refuse_range(const reel_option *option, const char *text, reel_parsed *parsed) {
    char range[256];
    reel_option_range(option, range, sizeof range);
    static const char *const kind[] = {[REEL_OPTION_COUNT] = "a whole number",
                                       [REEL_OPTION_NUMBER] = "a number",
                                       [REEL_OPTION_BYTES] = "a size such as 512M or 4G",
                                       [REEL_OPTION_SIZE] = "WIDTHxHEIGHT, both",
                                       [REEL_OPTION_SEED] = "a whole number"};
    return refuse(parsed, "--%s: got '%s', wanted %s from %s", option->name, text,
                  kind[option->kind], range);
}

static reel_status store_choice(const reel_option *option, const char *text, const char **field,
                                reel_parsed *parsed) {
    for (int i = 0; i < REEL_MAX_CHOICES && option->choices[i]; i++) {
        if (strcmp(text, option->choices[i]) != 0) continue;
        *field = option->choices[i];
        return REEL_OK;
    }
    char choices[256];
    list_choices(option, choices, sizeof choices);
    return refuse(parsed, "--%s: got '%s', wanted %s", option->name, text, choices);
}

static reel_status store_list(const reel_option *option, const char *text, reel_option_list *field,
                              reel_parsed *parsed) {
    if (*text == '\0')
        return refuse(parsed, "--%s: got nothing, wanted %s", option->name, option->value);
    if (field->n == REEL_MAX_LIST)
        return refuse(parsed, "--%s: got '%s' as well, wanted at most %d of them", option->name,
                      text, REEL_MAX_LIST);
    field->text[field->n++] = text;
    return REEL_OK;
}

static reel_status store(const reel_option *option, const char *text, void *values,
                         reel_parsed *parsed) {
    void *field = (char *)values + option->offset;
    double number = 0;
    reel_option_size size = {0};
    int64_t count = 0;
    switch (option->kind) {
    case REEL_OPTION_FLAG:
        *(bool *)field = true;
        return REEL_OK;
    case REEL_OPTION_COUNT:
        if (!read_count(text, &count) || !inside(option, (double)count)) break;
        *(int64_t *)field = count;
        return REEL_OK;
    case REEL_OPTION_SEED:
        if (!read_count(text, &count) || count < 0) break;
        *(int64_t *)field = count;
        return REEL_OK;
    case REEL_OPTION_NUMBER:
        if (!read_number(text, &number) || !inside(option, number)) break;
        *(double *)field = number;
        return REEL_OK;
    case REEL_OPTION_BYTES:
        if (!read_bytes(text, &number) || !inside(option, number)) break;
        *(int64_t *)field = (int64_t)number;
        return REEL_OK;
    case REEL_OPTION_SIZE:
        if (!read_size(text, &size) || !inside(option, (double)size.width) ||
            !inside(option, (double)size.height))
            break;
        *(reel_option_size *)field = size;
        return REEL_OK;
    case REEL_OPTION_CHOICE:
        return store_choice(option, text, field, parsed);
    case REEL_OPTION_TEXT:
        if (*text == '\0')
            return refuse(parsed, "--%s: got nothing, wanted %s", option->name, option->value);
        *(const char **)field = text;
        return REEL_OK;
    case REEL_OPTION_LIST:
        return store_list(option, text, field, parsed);
    }
    return refuse_range(option, text, parsed);
}

const reel_option *reel_usage_option(const reel_usage *usage, int i) {
    if (i < usage->n_options) return &usage->option[i];
    return i < usage->n_options + usage->n_shared ? &usage->shared[i - usage->n_options] : NULL;
}

/* The row of a name; -1: there is none. */
static int find(const reel_usage *usage, const char *name, size_t name_bytes) {
    const reel_option *o;
    for (int i = 0; (o = reel_usage_option(usage, i)); i++)
        if (strlen(o->name) == name_bytes && memcmp(o->name, name, name_bytes) == 0) return i;
    return -1;
}

static int find_short(const reel_usage *usage, char name) {
    const reel_option *o;
    for (int i = 0; (o = reel_usage_option(usage, i)); i++)
        if (o->short_name == name && name) return i;
    return -1;
}

/* argv[*i] begins with "-" and has more behind it; moves *i over the value it takes. */
static reel_status parse_option(const reel_usage *usage, int argc, const char *const *argv, int *i,
                                void *values, reel_parsed *parsed) {
    const bool is_long = argv[*i][1] == '-';
    const char *name = argv[*i] + 1 + is_long;
    const size_t name_bytes = is_long ? strcspn(name, "=") : 1;
    const int row = is_long ? find(usage, name, name_bytes) : find_short(usage, name[0]);
    const reel_option *option = row < 0 ? NULL : reel_usage_option(usage, row);
    if (!option) {
        return refuse(parsed, "%s: no such option; 'reel %s --help' lists them", argv[*i],
                      usage->command);
    }
    parsed->given |= (uint64_t)1 << row;
    const char *text = name[name_bytes] == '=' ? name + name_bytes + 1 : NULL;
    if (!is_long) text = name[1] ? name + 1 : NULL;
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
    const reel_option *option;
    for (int i = 0; (option = reel_usage_option(usage, i)); i++) {
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
        if (!only_operands && argv[i][0] == '-' && argv[i][1] != '\0') {
            const reel_status status = parse_option(usage, argc, argv, &i, values, parsed);
            if (status != REEL_OK) return status;
            continue;
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

bool reel_option_given(const reel_usage *usage, const reel_parsed *parsed, const char *name) {
    const int row = find(usage, name, strlen(name));
    assert(row >= 0);
    return row >= 0 && (parsed->given >> row & 1);
}

void reel_option_mark(const reel_usage *usage, reel_parsed *parsed, const char *name) {
    const int row = find(usage, name, strlen(name));
    assert(row >= 0);
    if (row >= 0) parsed->given |= (uint64_t)1 << row;
}

void reel_option_range(const reel_option *option, char *text, size_t text_bytes) {
    char least[32], most[32];
    text[0] = '\0';
    switch (option->kind) {
    case REEL_OPTION_COUNT:
    case REEL_OPTION_SIZE:
        snprintf(text, text_bytes, "%.0f to %.0f", option->min, option->max);
        return;
    case REEL_OPTION_NUMBER:
        snprintf(text, text_bytes, "%g to %g", option->min, option->max);
        return;
    case REEL_OPTION_BYTES:
        bytes_text(option->min, least, sizeof least);
        bytes_text(option->max, most, sizeof most);
        snprintf(text, text_bytes, "%s to %s", least, most);
        return;
    case REEL_OPTION_SEED:
        snprintf(text, text_bytes, "0 to %lld", (long long)INT64_MAX);
        return;
    case REEL_OPTION_CHOICE:
        list_choices(option, text, text_bytes);
        return;
    default:
        return;
    }
}

/* "-t, --threads N" */
static void write_left(const reel_option *option, char *text, size_t text_bytes) {
    const char short_form[] = {'-', option->short_name, ',', ' ', '\0'};
    snprintf(text, text_bytes, "%s--%s%s%s", option->short_name ? short_form : "", option->name,
             option->value ? " " : "", option->value ? option->value : "");
}

void reel_options_help(const reel_usage *usage, FILE *out) {
    fprintf(out, "usage: reel %s%s%s%s\n\n%s.\n", usage->command,
            reel_usage_option(usage, 0) ? " [OPTION...]" : "", usage->operands ? " " : "",
            usage->operands ? usage->operands : "", usage->summary);
    if (usage->details) fprintf(out, "\n%s\n", usage->details);
    if (reel_usage_option(usage, 0)) fprintf(out, "\n");
    char left[64], range[256];
    int width = 18;
    const reel_option *option;
    for (int i = 0; (option = reel_usage_option(usage, i)); i++) {
        write_left(option, left, sizeof left);
        if ((int)strlen(left) > width) width = (int)strlen(left);
    }
    for (int i = 0; (option = reel_usage_option(usage, i)); i++) {
        write_left(option, left, sizeof left);
        reel_option_range(option, range, sizeof range);
        fprintf(out, "  %-*s %s%s%s", width, left, option->help,
                !range[0]                            ? ""
                : option->kind == REEL_OPTION_CHOICE ? ": "
                                                     : "; ",
                range);
        if (option->initial) fprintf(out, " (default %s)", option->initial);
        fprintf(out, "\n");
    }
}
