/* The report of a run: one HTML file that needs nothing else.
 *
 * Made anew from what lies in the run folder: curves of metrics.jsonl as inline SVG, the newest
 * pictures of samples/ as data URIs, the recipe. So it can be made at any time, also of a run that
 * was stopped.
 */
#ifndef REEL_TRAIN_REPORT_H
#define REEL_TRAIN_REPORT_H

#include "base/env.h"

/* Writes folder/report.html from folder/metrics.jsonl, folder/recipe.json and
 * folder/samples/NAME.png, with the text of NAME.txt below it where there is one. Pictures whose
 * names differ behind the last '-' alone ("step-0000000100-00") belong together; the last four such
 * sets by name are shown, the newest first (there may be none). */
REEL_MUST_USE reel_status reel_report_write(reel_env *env, const char *folder, const char *title);

#endif
