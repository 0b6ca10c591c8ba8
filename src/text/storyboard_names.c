/* Names of a storyboard: @name becomes what is said of it, as often as that names others. */
#include <stdio.h>
#include <string.h>

#include "text/storyboard_state.h"

typedef struct writing {
    const reel_raw_story *story;
    char text[REEL_STORY_PROMPT];
    int bytes;
    int open[REEL_STORY_NAMES]; /* [n_open]: names that are being written out, outermost first */
    int n_open;
    int line; /* of what was asked for */
} writing;

bool reel_story_is_name(char c) {
    const unsigned char u = (unsigned char)c;
    return (u >= 'a' && u <= 'z') || (u >= 'A' && u <= 'Z') || (u >= '0' && u <= '9') || u == '_' ||
           u == '-' || u >= 0x80;
}

static int find(const reel_raw_story *s, const char *name, int bytes) {
    for (int i = 0; i < s->n_names; i++)
        if ((int)strlen(s->names[i].name) == bytes &&
            memcmp(s->names[i].name, name, (size_t)bytes) == 0)
            return i;
    return -1;
}

static reel_status put(writing *w, const char *text, int bytes) {
    if (w->bytes + bytes >= REEL_STORY_PROMPT)
        return reel_story_fail(w->story, w->line,
                               "with its names written out this has more than %d bytes",
                               REEL_STORY_PROMPT - 1);
    memcpy(w->text + w->bytes, text, (size_t)bytes);
    w->bytes += bytes;
    w->text[w->bytes] = '\0';
    return REEL_OK;
}

/* "@a -> @b -> @a" */
static reel_status fail_loop(const writing *w, int name, int line) {
    char path[512];
    size_t n = 0;
    int i = 0;
    while (w->open[i] != name)
        i++;
    for (; i < w->n_open && n < sizeof path; i++)
        n += (size_t)snprintf(path + n, sizeof path - n, "@%s -> ",
                              w->story->names[w->open[i]].name);
    return reel_story_fail(w->story, line, "the names lead back to themselves: %s@%s",
                           n < sizeof path ? path : "... -> ", w->story->names[name].name);
}

static reel_status fail_unknown(const writing *w, const char *name, int bytes, int line) {
    char list[512] = "";
    size_t n = 0;
    for (int i = 0; i < w->story->n_names && n < sizeof list; i++)
        n += (size_t)snprintf(list + n, sizeof list - n, "%s@%s", i ? ", " : "",
                              w->story->names[i].name);
    if (!list[0])
        return reel_story_fail(w->story, line,
                               "@%.*s: nothing has that name, and the script names nothing "
                               "(\"@%.*s: ...\" on a line of its own; @@ is a plain @)",
                               bytes, name, bytes, name);
    return reel_story_fail(w->story, line, "@%.*s: nothing has that name, wanted one of %s", bytes,
                           name, list);
}

static reel_status write_words(writing *w, reel_story_words words);

static reel_status write_name(writing *w, const char *name, int bytes, int line) {
    const int i = find(w->story, name, bytes);
    if (i < 0) return fail_unknown(w, name, bytes, line);
    for (int k = 0; k < w->n_open; k++)
        if (w->open[k] == i) return fail_loop(w, i, line);
    w->open[w->n_open++] = i; /* never more than there are names: none is open twice */
    const reel_status status = write_words(w, w->story->names[i].is);
    w->n_open--;
    return status;
}

static reel_status write_words(writing *w, reel_story_words words) {
    reel_status status = REEL_OK;
    const char *c = words.text;
    while (*c && status == REEL_OK) {
        const bool begins = *c == '@' && (c == words.text || !reel_story_is_name(c[-1]));
        int n = 0;
        while (begins && reel_story_is_name(c[1 + n]))
            n++;
        if (*c == '@' && c[1] == '@') {
            status = put(w, "@", 1);
            c += 2;
        } else if (n > 0) {
            status = write_name(w, c + 1, n, words.line);
            c += 1 + n;
        } else {
            status = put(w, c++, 1);
        }
    }
    return status;
}

reel_status reel_story_write_out(const reel_raw_story *story, reel_story_words words,
                                 const char **text) {
    writing *w = reel_calloc(story->env, 1, sizeof *w, "storyboard");
    if (!w) return REEL_E_NOMEM;
    w->story = story;
    w->line = words.line;
    reel_status status = write_words(w, words);
    if (status == REEL_OK) {
        *text = reel_arena_strdup(story->arena, w->text);
        if (!*text) status = REEL_E_NOMEM;
    }
    reel_free(story->env, w);
    return status;
}

reel_status reel_story_check_names(const reel_raw_story *story) {
    for (int i = 0; i < story->n_names; i++) {
        const char *unused;
        char name[64];
        snprintf(name, sizeof name, "@%s", story->names[i].name);
        const reel_story_words words = {name, story->names[i].is.line};
        const reel_status status = reel_story_write_out(story, words, &unused);
        if (status != REEL_OK) return status;
    }
    return REEL_OK;
}
