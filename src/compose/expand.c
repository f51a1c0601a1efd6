/* From a parsed tree to one without shared parts: what aliases name is copied, variables are replaced, and what !reset and
 * !override name is noted. The rest stays in place: a fleet is large, and memory is what costs time. */
#include <errno.h>
#include <string.h>

#include "compose/interpolate.h"
#include "compose/language.h"

struct expansion {
    struct load *load;
    struct reset *resets;
    unsigned copying; /* how many nodes on the way here stand elsewhere, too */
};

struct unset {
    struct load *load;
    const struct place *at;
    const char *first; /* the variable that gave the text */
};

static const char *look_up(void *data, const char *name)
{
    struct unset *u = data;
    const char *value = load_variable(u->load, name);
    if (u->first == NULL) {
        u->first = arena_string(&u->load->nodes, name);
        (void)load_got(u->load, u->first);
    }
    return value;
}

static void on_unset(void *data, const char *name)
{
    struct unset *u = data;
    size_t before;
    if (names_get(&u->load->warned, name, &before))
        return;
    char *kept = arena_string(&u->load->nodes, name);
    if (LOAD_GOT(u->load, kept) && names_put(&u->load->warned, kept, 0, NULL) < 0)
        u->load->out_of_memory = true;
    load_warning(u->load, u->at, "the variable %.100s is not set; an empty text takes its place", name);
}

/* False: its variables are wrong, which was said. */
static bool interpolate_scalar(struct load *load, const struct place *at, struct node *node)
{
    if (node->type != TYPE_STRING || memchr(node->text, '$', node->count) == NULL || load->no_interpolation)
        return true;
    if (load->interpolation_spent)
        return false;
    struct unset unset = {load, at, NULL};
    struct interpolation with = {
        .data = &unset, .lookup = look_up, .unset = on_unset, .budget = load->interpolation_budget};
    struct text out = {0};
    shoal_error_t err;
    int code = interpolate(&with, node->text, node->count, &out, &err);
    load->interpolation_budget = with.budget;
    load->interpolation_spent = code == -E2BIG; /* said once */
    if (code < 0) {
        load_error(load, at, "%s", err.text);
    } else {
        const char *text = arena_copy(&load->nodes, out.bytes, out.count);
        if (LOAD_GOT(load, text)) {
            node->text = text;
            node->count = (uint32_t)strlen(text);
            node->variable = unset.first;
        }
    }
    text_free(&out);
    return code == 0;
}

static void note_reset(struct expansion *e, const struct place *at)
{
    size_t depth = 0;
    for (const struct place *p = at; p->outer != NULL; p = p->outer)
        depth++;
    struct reset *reset = arena_alloc(&e->load->nodes, sizeof *reset + depth * sizeof reset->words[0]);
    if (!LOAD_GOT(e->load, reset))
        return;
    reset->count = depth;
    for (const struct place *p = at; p->outer != NULL; p = p->outer)
        reset->words[--depth] = p->word;
    reset->next = e->resets;
    e->resets = reset;
}

static struct node *expand_node(struct expansion *e, const struct place *at, struct node *node);

static bool expand_list(struct expansion *e, const struct place *at, const struct node *node, struct node *out)
{
    size_t count = node->count, used = 0;
    struct node **items = e->copying == 0 ? node->items : arena_array(&e->load->nodes, count, sizeof *items);
    if (!LOAD_GOT(e->load, items))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct place item = place_item(at, node, i);
        struct node *child = expand_node(e, &item, node->items[i]);
        if (child != NULL)
            items[used++] = child; /* never ahead of what is still to be read */
        out->damaged = out->damaged || child == NULL || child->damaged;
    }
    out->items = items;
    out->count = (uint32_t)used;
    return true;
}

static bool expand_map(struct expansion *e, const struct place *at, const struct node *node, struct node *out)
{
    size_t count = node->count, used = 0;
    struct node_entry *entries = e->copying == 0 ? node->entries : arena_array(&e->load->nodes, count, sizeof *entries);
    if (!LOAD_GOT(e->load, entries))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct place inner = place_key(at, &node->entries[i]);
        struct node *key = node->entries[i].key;
        bool reset = node->entries[i].value->tag == TAG_RESET;
        struct node *child = expand_node(e, &inner, node->entries[i].value);
        if (child != NULL)
            entries[used++] = (struct node_entry){.key = key, .value = child};
        out->damaged = out->damaged || (child == NULL ? !reset : child->damaged);
    }
    out->entries = entries;
    out->count = (uint32_t)used;
    return true;
}

/* The node itself, or a copy where it stands elsewhere, too. NULL: it is not there: it was a !reset, or it was wrong,
 * which was said. */
static struct node *expand_node(struct expansion *e, const struct place *at, struct node *node)
{
    struct load *load = e->load;
    if (node->tag != TAG_NONE)
        note_reset(e, at);
    if (node->tag == TAG_RESET)
        return NULL;
    e->copying += node->aliased;
    struct node *out = node;
    if (e->copying > 0) {
        out = arena_alloc(&load->nodes, sizeof *out);
        if (LOAD_GOT(load, out)) {
            *out = *node;
            out->room = node->count;
            out->aliased = false;
            out->tag = TAG_NONE;
        }
    }
    bool good = out != NULL && (node->kind == NODE_SCALAR ? interpolate_scalar(load, at, out)
                                : node->kind == NODE_LIST ? expand_list(e, at, node, out)
                                                          : expand_map(e, at, node, out));
    e->copying -= node->aliased;
    return good ? out : NULL;
}

struct node *expand(struct load *load, struct node *root, struct reset **out_resets)
{
    struct expansion e = {.load = load};
    const struct place top = {.file = root->file, .line = root->line, .column = root->column};
    struct node *out = expand_node(&e, &top, root);
    *out_resets = e.resets;
    return out;
}

struct node *expand_copy(struct load *load, const struct place *at, struct node *node)
{
    struct expansion e = {.load = load, .copying = 1};
    return expand_node(&e, at, node);
}

/* ---- what resets name ---- */

static void apply_reset(const struct reset *reset, size_t from, struct node *node)
{
    if (node->kind != NODE_MAP || from >= reset->count)
        return; /* items of lists cannot be named in another file */
    if (reset->words[from] == NULL)
        return;
    struct node_entry *entry = node_find(node, reset->words[from]);
    if (entry == NULL)
        return;
    if (from + 1 < reset->count)
        apply_reset(reset, from + 1, entry->value);
    else
        node_remove(node, entry);
}

void apply_resets(const struct reset *resets, struct node *root)
{
    for (; resets != NULL; resets = resets->next)
        apply_reset(resets, 0, root);
}

void apply_resets_to_service(const struct reset *resets, const char *name, struct node *service)
{
    for (; resets != NULL; resets = resets->next)
        if (resets->count > 2 && resets->words[0] != NULL && strcmp(resets->words[0], "services") == 0 &&
            resets->words[1] != NULL && strcmp(resets->words[1], name) == 0)
            apply_reset(resets, 2, service);
}
