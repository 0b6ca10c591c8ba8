#include "pipeline/storyboard.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/folder.h"
#include "base/path.h"
#include "base/sweep.h"
#include "media/video_reader.h"
#include "pipeline/film.h"
#include "pipeline/storyboard_plan.h"
#include "zoo/cache.h"

typedef struct show {
    reel_env *env;
    const reel_storyboard_request *request;
    const reel_backend *backend;
    reel_storyboard_fn *on_event;
    reel_cancel_fn *cancel;
    void *context;
    reel_arena arena;
    reel_story story;
    reel_story_plan plan;
    const char *shots;                   /* folder */
    int width, height, fps_num, fps_den; /* of the film */
    int piece;                           /* that is being made */
} show;

/* ---- telling ---- */

static void tell(const show *s, reel_storyboard_event_kind kind, int scene, const char *text,
                 bool made, const reel_event *event) {
    if (!s->on_event) return;
    const reel_story_scene *at = scene < s->story.n_scenes ? &s->story.scene[scene] : NULL;
    const reel_storyboard_event e = {.kind = kind,
                                     .shot = scene + 1,
                                     .n_shots = s->story.n_scenes,
                                     .seconds = at ? at->seconds : 0,
                                     .text = text,
                                     .made = made,
                                     .event = event};
    s->on_event(s->context, &e);
}

static const char *words_of(const reel_story_scene *scene) {
    return scene->title ? scene->title : scene->prompt;
}

/* ---- generations ---- */

static reel_generate_request base_request(const show *s) {
    const reel_storyboard_request *o = s->request;
    return (reel_generate_request){.model = o->model,
                                   .cache_root = o->cache_root,
                                   .negative_prompt = s->story.negative_prompt,
                                   .width = s->story.width,
                                   .height = s->story.height,
                                   .fps = s->story.fps,
                                   .steps = o->steps ? o->steps : s->story.steps,
                                   .cfg_scale = s->story.cfg_scale,
                                   .cfg_to = -1,
                                   .type = o->type,
                                   .isa = o->isa,
                                   .max_memory = o->max_memory,
                                   .bit_exact = o->bit_exact,
                                   .letterbox = s->story.letterbox};
}

/* The request of a piece. list has room for all its known frames; with_before: what the piece
 * before made is there to be gone on from. */
static reel_generate_request request_of(const show *s, const reel_story_piece *p, bool with_before,
                                        reel_keyframe *list) {
    reel_generate_request r = base_request(s);
    int n = 0;
    if (with_before && p->context) {
        const reel_story_piece *b = p - 1;
        list[n] = (reel_keyframe){
            .path = b->path, .from = b->context + b->n - p->context, .n = p->context};
        n++;
    }
    for (int i = 0; i < p->n_known; i++) {
        list[n] = p->known[i];
        list[n].frame += p->context;
        n++;
    }
    r.prompt = p->prompt;
    r.seed = p->seed;
    r.frames = reel_story_frames(&s->plan, p->context + p->n);
    r.task = n ? REEL_TASK_ANIMATE : REEL_TASK_GENERATE;
    r.keyframe = list;
    r.n_keyframes = n;
    return r;
}

/* "script:line" in front of what a generation had to say; stopping is nobody's mistake. */
static reel_status say_where(const show *s, const reel_story_piece *p, reel_status status) {
    if (status != REEL_OK && status != REEL_E_CANCELLED && status != REEL_E_NOMEM)
        reel_fail_within(s->env, "%s:%d", s->story.name, p->line);
    return status;
}

static reel_status open_piece(const show *s, const reel_story_piece *p, bool with_before,
                              reel_generate_request *r, reel_keyframe *list,
                              reel_generate **generate) {
    *r = request_of(s, p, with_before, list);
    r->output = p->path;
    return say_where(s, p, reel_generate_open(s->env, r, s->backend, generate));
}

/* Names the file of a piece by its key. */
static reel_status name_piece(show *s, reel_story_piece *p) {
    reel_generate_request r;
    reel_keyframe list[REEL_STORY_KNOWN + 1];
    reel_generate *g = NULL;
    const char *key;
    reel_status status = open_piece(s, p, true, &r, list, &g);
    if (status != REEL_OK) return status;
    status = say_where(s, p, reel_generate_key(g, &key));
    if (status == REEL_OK) {
        uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
        for (const char *c = key; *c; c++)
            hash = (hash ^ (unsigned char)*c) * 0x100000001b3u;
        p->path =
            reel_arena_printf(&s->arena, "%s/shot-%016llx.mkv", s->shots, (unsigned long long)hash);
        if (!p->path) status = REEL_E_NOMEM;
    }
    reel_generate_close(&g);
    return status;
}

static void on_step(void *context, const reel_event *event) {
    const show *s = context;
    if (event->kind == REEL_EVENT_STEP || event->kind == REEL_EVENT_FRAMES ||
        event->kind == REEL_EVENT_PHASE)
        tell(s, REEL_STORYBOARD_STEP, s->plan.piece[s->piece].scene, NULL, false, event);
}

static bool is_cancelled(void *context) {
    const show *s = context;
    return s->cancel && s->cancel(s->context);
}

static reel_status make_piece(show *s, reel_story_piece *p) {
    reel_generate_request r;
    reel_keyframe list[REEL_STORY_KNOWN + 1];
    reel_generate *g = NULL;
    reel_status status = open_piece(s, p, true, &r, list, &g);
    if (status == REEL_OK) status = say_where(s, p, reel_generate_run(g, on_step, is_cancelled, s));
    reel_generate_close(&g);
    return status;
}

/* ---- before anything is made ---- */

static reel_status open_folder(show *s, reel_folder **folder) {
    const char *path;
    const reel_storyboard_request *o = s->request;
    if (!o->model) return reel_fail(s->env, REEL_E_ARG, "no model was named");
    reel_status status = reel_cache_find(s->env, o->cache_root, o->model, &s->arena, &path);
    return status == REEL_OK ? reel_folder_open(s->env, path, folder) : status;
}

/* Size and rate of the film are those a generation gets. */
static reel_status settle(show *s) {
    reel_generate_request r = base_request(s);
    reel_generate *g = NULL;
    r.prompt = "";
    reel_status status = reel_generate_open(s->env, &r, s->backend, &g);
    if (status != REEL_OK) return status;
    const reel_generate_settings *made = reel_generate_get_settings(g);
    s->width = (int)made->width;
    s->height = (int)made->height;
    s->fps_num = made->fps_num;
    s->fps_den = made->fps_den;
    for (int i = 0; i < made->n_notes; i++) /* the length is not the film's */
        if (strncmp(made->note[i], "frames ", 7) != 0)
            tell(s, REEL_STORYBOARD_NOTE, 0, made->note[i], false, NULL);
    reel_generate_close(&g);
    return REEL_OK;
}

static reel_status check_folder(const show *s, const reel_folder *folder) {
    if (reel_folder_index(folder)->expand_timesteps) return REEL_OK;
    for (int i = 0; i < s->plan.n_pieces; i++)
        if (s->plan.piece[i].context)
            return reel_fail(
                s->env, REEL_E_UNSUPPORTED,
                "%s:%d: goes on from what came before, which %s cannot: it takes one "
                "noise level for a whole video; wanted a model that takes one for each "
                "token",
                s->story.name, s->plan.piece[i].line, reel_folder_path(folder));
    return REEL_OK;
}

/* Opens every piece once, so that nothing is made when one of them cannot be. */
static reel_status check_pieces(show *s) {
    for (int i = 0; i < s->plan.n_pieces; i++) {
        reel_generate_request r;
        reel_keyframe list[REEL_STORY_KNOWN + 1];
        reel_generate *g = NULL;
        const reel_status status = open_piece(s, &s->plan.piece[i], false, &r, list, &g);
        reel_generate_close(&g);
        if (status != REEL_OK) return status;
        if (is_cancelled(s))
            return reel_fail(s->env, REEL_E_CANCELLED, "stopped before anything was made");
    }
    return REEL_OK;
}

static bool has_words(const char *text) {
    for (; *text; text++)
        if (*text < ' ' || *text > '~') return false;
    return true;
}

static void note_titles(const show *s) {
    for (int i = 0; i < s->story.n_scenes; i++) {
        char text[256];
        if (!s->story.scene[i].title || has_words(s->story.scene[i].title)) continue;
        snprintf(text, sizeof text,
                 "%s:%d: titles are drawn in ASCII; other characters become question marks",
                 s->story.name, s->story.scene[i].line);
        tell(s, REEL_STORYBOARD_NOTE, i, text, false, NULL);
    }
}

/* Finds out at the beginning whether the film can be written at all. */
static reel_status try_output(const show *s, const char *path, bool is_sheet) {
    reel_video_writer *writer = NULL;
    reel_video_options o = reel_video_options_default();
    o.width = s->width;
    o.height = s->height;
    o.fps = (reel_rational){s->fps_num, s->fps_den};
    if (is_sheet) o.format = REEL_VIDEO_PNG;
    reel_sweep(path);
    const reel_status status = reel_video_writer_open(s->env, path, &o, &writer);
    reel_video_writer_close(&writer);
    return status;
}

static reel_status prepare(show *s) {
    reel_folder *folder = NULL;
    reel_status status = reel_story_read(s->env, &s->arena, s->request->script, &s->story);
    if (status == REEL_OK) status = open_folder(s, &folder);
    if (status == REEL_OK) status = settle(s);
    if (status == REEL_OK) {
        const reel_component_config *vae = reel_folder_config(folder, REEL_COMPONENT_VAE);
        status = reel_story_plan_make(s->env, &s->arena, &s->story, (double)s->fps_num / s->fps_den,
                                      reel_wan_vae_factor_t(&vae->vae), &s->plan);
    }
    if (status == REEL_OK) status = check_folder(s, folder);
    reel_folder_close(&folder);
    if (status == REEL_OK) status = check_pieces(s);
    if (status != REEL_OK) return status;
    note_titles(s);
    if (s->request->plan_only) return REEL_OK;
    status = try_output(s, s->request->output, false);
    return status == REEL_OK && s->request->sheet ? try_output(s, s->request->sheet, true) : status;
}

/* ---- making ---- */

/* Whether all of a scene is there; its pieces are named. */
static bool is_made(const show *s, int scene) {
    for (int i = 0; i < s->plan.n_pieces; i++) {
        const reel_story_piece *p = &s->plan.piece[i];
        if (p->scene == scene && (!p->path || !reel_path_exists(p->path))) return false;
    }
    return true;
}

/* Names the pieces of a scene and, unless only a plan is wanted, makes what is not there. What goes
 * on from a piece that is not there yet has no name yet. */
static reel_status make_scene(show *s, int scene) {
    bool told = false;
    for (s->piece = 0; s->piece < s->plan.n_pieces; s->piece++) {
        reel_story_piece *p = &s->plan.piece[s->piece];
        if (p->scene != scene) continue;
        const char *before = p->context ? (p - 1)->path : "";
        if (!before || (p->context && !reel_path_exists(before))) break; /* plan_only */
        reel_status status = name_piece(s, p);
        if (status == REEL_OK && !s->request->plan_only && !reel_path_exists(p->path)) {
            if (!told)
                tell(s, REEL_STORYBOARD_RENDER, scene, words_of(&s->story.scene[scene]), false,
                     NULL);
            told = true;
            status = make_piece(s, p);
        }
        if (status != REEL_OK) return status;
    }
    if (!told)
        tell(s, REEL_STORYBOARD_SHOT, scene, words_of(&s->story.scene[scene]), is_made(s, scene),
             NULL);
    return REEL_OK;
}

/* ---- the film ---- */

static void put_scene(const show *s, int scene, reel_json_out *out) {
    static const char *const begins[] = {"cut", "fade", "continue"};
    const reel_story_scene *at = &s->story.scene[scene];
    reel_json_out_object_begin(out);
    reel_json_out_key(out, at->title ? "title" : "prompt");
    reel_json_out_string(out, words_of(at));
    reel_json_out_key(out, "seconds");
    reel_json_out_real(out, at->seconds);
    reel_json_out_key(out, "begin");
    reel_json_out_string(out, begins[at->begin]);
    if (!at->title) {
        reel_json_out_key(out, "seed");
        reel_json_out_int(out, at->seed);
        reel_json_out_key(out, "shots");
        reel_json_out_array_begin(out);
        for (int i = 0; i < s->plan.n_pieces; i++)
            if (s->plan.piece[i].scene == scene)
                reel_json_out_string(out, s->plan.piece[i].path + strlen(s->shots) + 1);
        reel_json_out_end(out);
    }
    reel_json_out_end(out);
}

static void write_provenance(const show *s, reel_json_out *out) {
    reel_json_out_object_begin(out);
    reel_json_out_key(out, "generator");
    reel_json_out_string(out, "reel");
    reel_json_out_key(out, "version");
    reel_json_out_string(out, reel_version());
    reel_json_out_key(out, "task");
    reel_json_out_string(out, "storyboard");
    reel_json_out_key(out, "model");
    reel_json_out_string(out, s->request->model);
    reel_json_out_key(out, "script");
    reel_json_out_string(out, s->story.name);
    reel_json_out_key(out, "scenes");
    reel_json_out_array_begin(out);
    for (int i = 0; i < s->story.n_scenes; i++)
        put_scene(s, i, out);
    reel_json_out_end(out);
    reel_json_out_end(out);
}

static reel_status tick(void *context, int scene) {
    const show *s = context;
    tell(s, REEL_STORYBOARD_JOIN, scene, words_of(&s->story.scene[scene]), true, NULL);
    if (!is_cancelled(context)) return REEL_OK;
    return reel_fail(s->env, REEL_E_CANCELLED, "stopped; the shots are there for the next time");
}

static reel_status list_scenes(const show *s, reel_arena *arena, reel_film *film) {
    reel_film_scene *scene = reel_arena_calloc(arena, s->story.n_scenes, sizeof *scene);
    reel_film_part *part = reel_arena_calloc(arena, s->plan.n_pieces + 1, sizeof *part);
    if (!scene || !part) return REEL_E_NOMEM;
    for (int i = 0; i < s->story.n_scenes; i++) {
        const reel_story_scene *from = &s->story.scene[i];
        scene[i] = (reel_film_scene){.title = from->title,
                                     .label = words_of(from),
                                     .part = part,
                                     .frames = s->plan.frames[i],
                                     .fade = s->plan.fade[i]};
        for (int k = 0; k < s->plan.n_pieces; k++) {
            const reel_story_piece *p = &s->plan.piece[k];
            if (p->scene != i) continue;
            part[scene[i].n_parts++] = (reel_film_part){p->path, p->context, p->n};
        }
        part += scene[i].n_parts;
    }
    film->scene = scene;
    film->n_scenes = s->story.n_scenes;
    return REEL_OK;
}

static reel_status open_sheet(const show *s, reel_sheet **sheet) {
    enum { CELL = 192 };
    if (!s->request->sheet) return REEL_OK;
    const int64_t height = (int64_t)CELL * s->height / s->width;
    const reel_sheet_options o = {REEL_FILM_COLUMNS, CELL,
                                  height < 16     ? 16
                                  : height > 1024 ? 1024
                                                  : (int)height};
    return reel_sheet_new(s->env, &o, sheet);
}

static reel_status finish(const show *s, reel_video_writer *writer, reel_sheet *sheet,
                          const char *comment) {
    reel_status status = reel_video_writer_finish(writer);
    if (status == REEL_OK && sheet) status = reel_sheet_write(sheet, s->request->sheet, comment);
    if (status != REEL_OK) return status;
    tell(s, REEL_STORYBOARD_DONE, s->story.n_scenes, s->request->output, true, NULL);
    if (sheet) tell(s, REEL_STORYBOARD_DONE, s->story.n_scenes, s->request->sheet, true, NULL);
    return REEL_OK;
}

static reel_status join(show *s) {
    reel_film film = {.width = s->width,
                      .height = s->height,
                      .fps = (double)s->fps_num / s->fps_den,
                      .tick = tick,
                      .context = s};
    reel_video_writer *writer = NULL;
    reel_sheet *sheet = NULL;
    reel_video_options o = reel_video_options_default();
    reel_json_out out;
    int64_t bytes;
    o.width = s->width;
    o.height = s->height;
    o.fps = (reel_rational){s->fps_num, s->fps_den};
    reel_json_out_init(&out, s->env);
    write_provenance(s, &out);
    reel_status status = reel_json_out_text(&out, &o.comment, &bytes);
    if (status == REEL_OK) status = list_scenes(s, &s->arena, &film);
    if (status == REEL_OK) status = open_sheet(s, &sheet);
    if (status == REEL_OK) status = reel_video_writer_open(s->env, s->request->output, &o, &writer);
    if (status == REEL_OK) status = reel_film_write(s->env, &film, writer, sheet);
    if (status == REEL_OK) status = finish(s, writer, sheet, o.comment);
    reel_video_writer_close(&writer);
    reel_sheet_free(&sheet);
    reel_json_out_deinit(&out);
    return status;
}

/* ---- the folder of shots ---- */

static bool is_used(const show *s, const char *name) {
    for (int i = 0; i < s->plan.n_pieces; i++)
        if (strcmp(s->plan.piece[i].path + strlen(s->shots) + 1, name) == 0) return true;
    return false;
}

/* Removes the shots, and states of shots, that are none of this film's. */
static reel_status remove_others(show *s) {
    static const char *const endings[] = {".mkv", ".mkv.reel-state"};
    if (!s->plan.n_pieces) return REEL_OK;
    for (size_t k = 0; k < sizeof endings / sizeof *endings; k++) {
        const char *const *names;
        int64_t n;
        reel_status status =
            reel_folder_list(s->env, &s->arena, s->shots, "shot-", endings[k], &names, &n);
        for (int64_t i = 0; i < n && status == REEL_OK; i++) {
            if (is_used(s, names[i])) continue;
            const char *path = reel_arena_printf(&s->arena, "%s/%s", s->shots, names[i]);
            status = path ? reel_file_remove(s->env, path) : REEL_E_NOMEM;
        }
        if (status != REEL_OK) return status;
    }
    return REEL_OK;
}

/* ---- all of it ---- */

static reel_status run_all(show *s) {
    const reel_storyboard_request *o = s->request;
    if (!o->script || !o->output)
        return reel_fail(s->env, REEL_E_ARG, "a storyboard needs a script and a file to write");
    s->shots = o->shots ? o->shots : reel_arena_printf(&s->arena, "%s.reel-shots", o->output);
    if (!s->shots) return REEL_E_NOMEM;
    reel_status status = prepare(s);
    if (status == REEL_OK && !o->plan_only && s->plan.n_pieces)
        status = reel_folder_make(s->env, s->shots);
    for (int i = 0; i < s->story.n_scenes && status == REEL_OK; i++)
        status = make_scene(s, i);
    if (status == REEL_OK && !o->plan_only) status = join(s);
    if (status == REEL_OK && !o->plan_only) status = remove_others(s);
    return status;
}

reel_status reel_storyboard_run(reel_env *env, const reel_storyboard_request *request,
                                const reel_backend *backend, reel_storyboard_fn *on_event,
                                reel_cancel_fn *cancel, void *context) {
    show *s = reel_calloc(env, 1, sizeof *s, "storyboard");
    if (!s) return REEL_E_NOMEM;
    *s = (show){.env = env,
                .request = request,
                .backend = backend,
                .on_event = on_event,
                .cancel = cancel,
                .context = context};
    reel_arena_init(&s->arena, env, 1 << 16, "storyboard");
    const reel_status status = run_all(s);
    reel_arena_deinit(&s->arena);
    reel_free(env, s);
    return status;
}
