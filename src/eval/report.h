/* The report of an evaluation: figures in the order they were measured, as a table and as JSON.
 *
 * Every figure may stand beside a reference: what real renders get under the same measurement. A
 * score alone says little, since judges and trackers are wrong on real clips as well.
 */
#ifndef REEL_EVAL_REPORT_H
#define REEL_EVAL_REPORT_H

#include "base/env.h"
#include "base/json_out.h"

enum { REEL_REPORT_NAME_BYTES = 48 };

typedef struct reel_report_row {
    char section[REEL_REPORT_NAME_BYTES], group[REEL_REPORT_NAME_BYTES];
    char name[REEL_REPORT_NAME_BYTES];
    double value, reference; /* reference NaN: there is none */
    int64_t n;               /* clips it was measured on */
    bool share;              /* in [0,1], shown in percent */
} reel_report_row;

typedef struct reel_report {
    reel_env *env;
    reel_report_row *row; /* [n] */
    int64_t n, room;
} reel_report;

void reel_report_init(reel_report *report, reel_env *env);
/* Safe on a zeroed struct. */
void reel_report_deinit(reel_report *report);

/* Copies the row; names that are too long are cut. REEL_E_NOMEM. */
REEL_MUST_USE reel_status reel_report_add(reel_report *report, const reel_report_row *row);

/* The row, NULL when there is none. Borrowed until the next one is added. */
const reel_report_row *reel_report_find(const reel_report *report, const char *section,
                                        const char *group, const char *name);

/* {"section": {"group": {"name": {"value", "real", "n"}}}}; rows of a section and of a group must
 * have been added next to each other. "real" is left out where there is none. */
void reel_report_write(const reel_report *report, reel_json_out *out);

/* Calls line for each line of the table, without newline. */
void reel_report_table(const reel_report *report, void (*line)(void *context, const char *text),
                       void *context);

#endif
