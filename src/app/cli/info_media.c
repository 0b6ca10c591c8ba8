/* reel info for video and pictures. */
#include <stdio.h>
#include <string.h>

#include "app/cli/info.h"
#include "base/json.h"
#include "base/json_out.h"

static bool is_json(reel_env *env, const char *text) {
    reel_json_doc *doc = NULL;
    const bool good = reel_json_parse(env, text, (int64_t)strlen(text), "comment", &doc) == REEL_OK;
    reel_json_free(&doc);
    if (!good) reel_env_clear(env);
    return good;
}

static void new_line(int depth) {
    printf("\n%*s", 2 * depth, "");
}

/* Prints valid JSON with a line for each entry. Strings are passed through in one piece. */
static void print_indented(const char *text) {
    int depth = 0;
    for (const char *c = text; *c; c++) {
        if (strchr(" \t\r\n", *c)) continue;
        if (*c == '"') {
            char one[8];
            do {
                const bool escape = *c == '\\';
                const int n = escape ? 2 : 1;
                memcpy(one, c, (size_t)n);
                one[n] = '\0';
                /* A high control character is two bytes, which are judged together. */
                if ((unsigned char)*c == 0xc2) {
                    one[1] = c[1];
                    one[2] = '\0';
                    c++;
                }
                reel_info_print_text(one);
                c += n;
            } while (*c != '"');
            putchar('"');
        } else if (*c == '{' || *c == '[') {
            putchar(*c);
            const char *next = c + 1 + strspn(c + 1, " \t\r\n");
            if (*next == '}' || *next == ']') {
                putchar(*next);
                c = next;
            } else {
                new_line(++depth);
            }
        } else if (*c == '}' || *c == ']') {
            new_line(--depth);
            putchar(*c);
        } else {
            putchar(*c);
            if (*c == ',') new_line(depth);
            if (*c == ':') putchar(' ');
        }
    }
    putchar('\n');
}

static void print_lines(reel_env *env, const reel_media_info *info) {
    printf("format   %s, %s, %s\n", info->format, info->codec, info->pixel_format);
    printf("size     %dx%d\n", info->width, info->height);
    if (!info->is_picture) {
        printf("fps      %g\n", (double)info->fps_num / info->fps_den);
        printf("frames   %lld\n", (long long)info->n_frames);
        printf("seconds  %g\n", info->seconds);
    }
    if (!info->comment) return;
    if (is_json(env, info->comment)) {
        printf("recipe\n");
        print_indented(info->comment);
    } else {
        printf("comment  ");
        reel_info_print_text(info->comment);
        printf("\n");
    }
}

static void write_fields(reel_json_out *out, const char *path, const reel_media_info *info) {
    const struct {
        const char *key, *text;
    } texts[] = {{"path", path},
                 {"format", info->format},
                 {"codec", info->codec},
                 {"pixel_format", info->pixel_format}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        reel_json_out_key(out, texts[i].key);
        reel_json_out_string(out, texts[i].text);
    }
    reel_json_out_key(out, "width");
    reel_json_out_int(out, info->width);
    reel_json_out_key(out, "height");
    reel_json_out_int(out, info->height);
    reel_json_out_key(out, "fps");
    reel_json_out_real(out, (double)info->fps_num / info->fps_den);
    reel_json_out_key(out, "frames");
    reel_json_out_int(out, info->n_frames);
    reel_json_out_key(out, "seconds");
    reel_json_out_real(out, info->seconds);
}

/* The recipe goes in as it is stored, so that a program gets what the writer wrote. */
static reel_status print_json(reel_env *env, const char *path, const reel_media_info *info) {
    const bool has_recipe = info->comment && is_json(env, info->comment);
    reel_json_out out;
    reel_json_out_init(&out, env);
    reel_json_out_object_begin(&out);
    write_fields(&out, path, info);
    if (info->comment && !has_recipe) {
        reel_json_out_key(&out, "comment");
        reel_json_out_string(&out, info->comment);
    }
    reel_json_out_end(&out);
    const char *text = NULL;
    int64_t bytes = 0;
    const reel_status status = reel_json_out_text(&out, &text, &bytes);
    if (status == REEL_OK && has_recipe)
        printf("%.*s,\"recipe\":%s}\n", (int)bytes - 1, text, info->comment);
    else if (status == REEL_OK)
        printf("%s\n", text);
    reel_json_out_deinit(&out);
    return status;
}

reel_status reel_info_media(reel_env *env, const char *path, bool json) {
    reel_media_info *info = NULL;
    reel_status status = reel_media_probe(env, path, &info);
    if (status != REEL_OK) return status;
    if (json)
        status = print_json(env, path, info);
    else
        print_lines(env, info);
    reel_media_info_free(env, &info);
    return status;
}
