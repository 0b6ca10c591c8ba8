/* Video and pictures: the public view of media/. */
#include <stddef.h>
#include <string.h>

#include "base/env.h"
#include "media/sheet.h"
#include "media/video_reader.h"

static const char tag_media[] = "media";

/* Copies text behind the struct and moves *at over it; NULL stays NULL. */
static const char *keep(char **at, const char *text) {
    if (!text) return NULL;
    char *copy = *at;
    const size_t n = strlen(text) + 1;
    memcpy(copy, text, n);
    *at += n;
    return copy;
}

static reel_status make_info(reel_env *env, const reel_video_info *v, int64_t n_frames,
                             reel_media_info **info) {
    const size_t text = strlen(v->format) + strlen(v->codec) + strlen(v->pixel_format) +
                        (v->comment ? strlen(v->comment) : 0) + 4;
    reel_media_info *made = reel_alloc(env, (int64_t)(sizeof *made + text), tag_media);
    if (!made) return REEL_E_NOMEM;
    char *at = (char *)(made + 1);
    *made = (reel_media_info){.format = keep(&at, v->format),
                              .codec = keep(&at, v->codec),
                              .pixel_format = keep(&at, v->pixel_format),
                              .comment = keep(&at, v->comment),
                              .width = v->width,
                              .height = v->height,
                              .fps_num = v->fps.num,
                              .fps_den = v->fps.den,
                              .n_frames = n_frames,
                              .seconds = v->seconds,
                              .is_picture = v->is_picture};
    *info = made;
    return REEL_OK;
}

reel_status reel_media_probe(reel_env *env, const char *path, reel_media_info **info) {
    reel_video_reader *reader = NULL;
    int64_t n_frames = 0;
    reel_status status = reel_video_reader_open(env, path, NULL, &reader);
    if (status == REEL_OK) status = reel_video_reader_count(reader, &n_frames);
    if (status == REEL_OK) {
        const reel_video_info v = reel_video_reader_info(reader);
        status = make_info(env, &v, n_frames, info);
    }
    reel_video_reader_close(&reader);
    return status;
}

void reel_media_info_free(reel_env *env, reel_media_info **info) {
    if (!info || !*info) return;
    reel_free(env, *info);
    *info = NULL;
}

reel_sheet_request reel_sheet_request_default(void) {
    return (reel_sheet_request){.columns = 6, .cell_width = 192};
}

/* Cells have the shape of the first clip, so that a sheet of one clip has no bars. */
static reel_status choose_cell(reel_env *env, const reel_sheet_request *r, reel_sheet_options *o) {
    reel_video_reader *reader = NULL;
    const reel_status status = reel_video_reader_open(env, r->clip[0], NULL, &reader);
    if (status != REEL_OK) return status;
    int width, height;
    reel_video_reader_size(reader, &width, &height);
    reel_video_reader_close(&reader);
    *o = (reel_sheet_options){.columns = r->columns, .cell_width = r->cell_width};
    const int64_t cell_height = ((int64_t)r->cell_width * height + width / 2) / width;
    o->cell_height = cell_height < 16                    ? 16
                     : cell_height > REEL_SHEET_MAX_CELL ? REEL_SHEET_MAX_CELL
                                                         : (int)cell_height;
    return REEL_OK;
}

reel_status reel_sheet_make(reel_env *env, const reel_sheet_request *r) {
    if (r->n_clips < 1 || !r->output)
        return reel_fail(env, REEL_E_ARG,
                         "contact sheet: got %d clips, wanted one or more, and an "
                         "output",
                         r->n_clips);
    reel_sheet_options o;
    reel_sheet *sheet = NULL;
    reel_status status = choose_cell(env, r, &o);
    if (status == REEL_OK) status = reel_sheet_new(env, &o, &sheet);
    for (int i = 0; i < r->n_clips && status == REEL_OK; i++)
        status = reel_sheet_add_clip(sheet, r->clip[i]);
    if (status == REEL_OK) status = reel_sheet_write(sheet, r->output, NULL);
    reel_sheet_free(&sheet);
    return status;
}
