#include "support/key_list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tensor/safetensors.h"

void key_list_add(key_list *list, const char *name, reel_dtype dtype, reel_shape shape) {
    if (list->n == list->capacity) {
        list->capacity = list->capacity ? 2 * list->capacity : 256;
        list->entry = realloc(list->entry, (size_t)list->capacity * sizeof *list->entry);
        assert_non_null(list->entry);
    }
    key_entry *e = &list->entry[list->n++];
    *e = (key_entry){.dtype = dtype, .shape = shape};
    assert_true(strlen(name) < sizeof e->name);
    memcpy(e->name, name, strlen(name) + 1);
}

static reel_shape parse_shape(char *text) {
    reel_shape shape = {0};
    for (char *x = strtok(text, "x"); x; x = strtok(NULL, "x"))
        shape.dim[shape.rank++] = strtoll(x, NULL, 10);
    return shape;
}

static void add_line(key_list *list, const char *name, reel_dtype dtype, reel_shape shape) {
    int from, to, used;
    const char *brace = strchr(name, '{');
    if (!brace || sscanf(brace, "{%d-%d}%n", &from, &to, &used) != 2) {
        key_list_add(list, name, dtype, shape);
        return;
    }
    for (int i = from; i <= to; i++) {
        char full[160];
        snprintf(full, sizeof full, "%.*s%d%s", (int)(brace - name), name, i, brace + used);
        key_list_add(list, full, dtype, shape);
    }
}

void key_list_read(key_list *list, const char *path) {
    *list = (key_list){0};
    FILE *file = fopen(path, "r");
    if (!file) fail_msg("%s: cannot open", path);
    char name[120], shape[64], dtype[8];
    while (fscanf(file, "%119s %63s %7s", name, shape, dtype) == 3)
        add_line(list, name,
                 strcmp(dtype, "BF16") == 0  ? REEL_BF16
                 : strcmp(dtype, "F16") == 0 ? REEL_F16
                                             : REEL_F32,
                 parse_shape(shape));
    fclose(file);
    assert_true(list->n > 0);
}

key_entry *key_list_find(key_list *list, const char *name) {
    for (int i = 0; i < list->n; i++)
        if (strcmp(list->entry[i].name, name) == 0) return &list->entry[i];
    fail_msg("no %s in the list", name);
    return NULL;
}

void key_list_remove(key_list *list, const char *name) {
    key_entry *e = key_list_find(list, name);
    *e = list->entry[--list->n];
}

void key_list_free(key_list *list) {
    free(list->entry);
    *list = (key_list){0};
}

static int64_t bytes_of(const key_entry *e) {
    return reel_shape_count(&e->shape) * reel_dtype_bytes(e->dtype);
}

static void put_entry(FILE *out, const key_entry *e, int64_t offset) {
    fprintf(out, "\"%s\":{\"dtype\":\"%s\",\"shape\":[", e->name,
            reel_safetensors_dtype_name(e->dtype));
    for (int i = 0; i < e->shape.rank; i++)
        fprintf(out, "%s%lld", i ? "," : "", (long long)e->shape.dim[i]);
    fprintf(out, "],\"data_offsets\":[%lld,%lld]}", (long long)offset,
            (long long)(offset + bytes_of(e)));
}

void key_list_write(const key_list *list, int first, int end, const char *path) {
    char *header = NULL;
    size_t n = 0;
    FILE *text = open_memstream(&header, &n);
    assert_non_null(text);
    int64_t offset = 0;
    for (int i = first; i < end; i++) {
        fputs(i > first ? "," : "{", text);
        put_entry(text, &list->entry[i], offset);
        offset += bytes_of(&list->entry[i]);
    }
    fputs("}", text);
    for (int64_t i = ftell(text); i % 8; i++) /* a tensor off its alignment would be copied */
        fputc(' ', text);
    fclose(text);
    FILE *file = fopen(path, "w");
    if (!file) fail_msg("%s: cannot write", path);
    const uint64_t length = n;
    fwrite(&length, sizeof length, 1, file);
    fwrite(header, 1, n, file);
    fclose(file);
    free(header);
    if (truncate(path, (off_t)(8 + n) + (off_t)offset) != 0)
        fail_msg("%s: cannot make a file of %lld bytes", path, (long long)offset);
}
