#include "eval/report.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void reel_report_init(reel_report *report, reel_env *env) {
    *report = (reel_report){.env = env};
}

void reel_report_deinit(reel_report *r) {
    if (r->env) reel_free(r->env, r->row);
    *r = (reel_report){0};
}

reel_status reel_report_add(reel_report *r, const reel_report_row *row) {
    if (r->n == r->room) {
        const int64_t room = r->room ? 2 * r->room : 64;
        reel_report_row *all = reel_realloc(r->env, r->row, room * (int64_t)sizeof *all, "report");
        if (!all) return REEL_E_NOMEM;
        r->row = all;
        r->room = room;
    }
    r->row[r->n++] = *row;
    return REEL_OK;
}

const reel_report_row *reel_report_find(const reel_report *r, const char *section,
                                        const char *group, const char *name) {
    for (int64_t i = 0; i < r->n; i++)
        if (strcmp(r->row[i].section, section) == 0 && strcmp(r->row[i].group, group) == 0 &&
            strcmp(r->row[i].name, name) == 0)
            return &r->row[i];
    return NULL;
}

static void write_row(const reel_report_row *row, reel_json_out *out) {
    reel_json_out_key(out, row->name);
    reel_json_out_object_begin(out);
    reel_json_out_key(out, "value");
    reel_json_out_real(out, row->value);
    if (!isnan(row->reference)) {
        reel_json_out_key(out, "real");
        reel_json_out_real(out, row->reference);
    }
    reel_json_out_key(out, "n");
    reel_json_out_int(out, row->n);
    reel_json_out_end(out);
}

void reel_report_write(const reel_report *r, reel_json_out *out) {
    reel_json_out_object_begin(out);
    for (int64_t i = 0; i < r->n; i++) {
        const reel_report_row *row = &r->row[i], *before = i ? row - 1 : NULL;
        const bool section = !before || strcmp(before->section, row->section) != 0;
        const bool group = section || strcmp(before->group, row->group) != 0;
        if (before && group) reel_json_out_end(out);
        if (before && section) reel_json_out_end(out);
        if (section) {
            reel_json_out_key(out, row->section);
            reel_json_out_object_begin(out);
        }
        if (group) {
            reel_json_out_key(out, row->group);
            reel_json_out_object_begin(out);
        }
        write_row(row, out);
    }
    if (r->n) reel_json_out_end(out);
    if (r->n) reel_json_out_end(out);
    reel_json_out_end(out);
}

static void figure(const reel_report_row *row, double x, char text[24]) {
    if (isnan(x))
        snprintf(text, 24, "-");
    else if (row->share)
        snprintf(text, 24, "%.1f %%", 100 * x);
    else
        snprintf(text, 24, "%.4g", x);
}

void reel_report_table(const reel_report *r, void (*line)(void *context, const char *text),
                       void *context) {
    char text[256], value[24], real[24];
    snprintf(text, sizeof text, "%-8s %-18s %-18s %10s %10s %6s", "", "", "", "model", "real", "n");
    line(context, text);
    for (int64_t i = 0; i < r->n; i++) {
        const reel_report_row *row = &r->row[i];
        const bool again = i && strcmp(row->section, row[-1].section) == 0 &&
                           strcmp(row->group, row[-1].group) == 0;
        figure(row, row->value, value);
        figure(row, row->reference, real);
        snprintf(text, sizeof text, "%-8s %-18s %-18s %10s %10s %6lld", again ? "" : row->section,
                 again ? "" : row->group, row->name, value, real, (long long)row->n);
        line(context, text);
    }
}
