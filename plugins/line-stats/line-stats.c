/* Counts the lines and words of the text on stdin.
 *
 * A command station: an ordinary program that knows nothing of andon but its conventions. The body
 * comes on stdin, labels as ANDON_LABEL_<NAME>; stdout is the new body, stderr the log; exit 0 is
 * `pass`, 75 (EX_TEMPFAIL) asks for another attempt, anything else rejects the item. With --labels
 * it writes its output to the file named by ANDON_OUTPUT instead, since stdout cannot carry labels.
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PASS = 0, REJECT = 1, USAGE = 64, RETRY = 75 };

/* Where --labels puts the text, relative to the workspace. */
#define KEPT "line-stats.txt"
#define WORKSPACE "/workspace/"
#define LABEL "ANDON_LABEL_"

extern char **environ;

struct counts {
	unsigned long long lines, words, bytes, blank, trailing, longest;
};

static void fail(int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "line-stats: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	va_end(args);
	exit(code);
}

/* What went wrong with a file may go well on another attempt. */
static void check(bool good, const char *what)
{
	if (!good)
		fail(RETRY, "%s: %s", what, strerror(errno));
}

static const char *plural(unsigned long long count)
{
	return count == 1 ? "" : "s";
}

static bool is_space(int c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Reads the text once, in constant memory, and copies it to `copy` if there is one. */
static struct counts count(FILE *in, FILE *copy, unsigned long long max_lines)
{
	static unsigned char buffer[65536];
	struct counts counts = {0};
	unsigned long long column = 0;
	bool in_word = false, has_text = false, after_space = false;
	int last = '\n';
	size_t got;

	while ((got = fread(buffer, 1, sizeof buffer, in)) > 0) {
		for (size_t i = 0; i < got; i++) {
			int c = buffer[i];

			if (c == 0)
				fail(REJECT, "not a text: a zero byte at offset %llu", counts.bytes + i);
			if (c == '\n') {
				counts.lines++;
				counts.blank += !has_text;
				counts.trailing += after_space;
				column = 0;
				has_text = after_space = false;
			} else if (c != '\r') {
				/* a character of UTF-8 is its first byte */
				if ((c & 0xc0) != 0x80 && ++column > counts.longest)
					counts.longest = column;
				after_space = is_space(c);
				has_text |= !after_space;
			}
			counts.words += !in_word && !is_space(c);
			in_word = !is_space(c);
			last = c;
		}
		counts.bytes += got;
		if (max_lines && counts.lines > max_lines)
			fail(REJECT, "more than %llu line%s", max_lines, plural(max_lines));
		if (copy)
			check(fwrite(buffer, 1, got, copy) == got, "cannot write the text");
	}
	check(!ferror(in), "cannot read the text");
	if (counts.bytes == 0)
		fail(REJECT, "the text is empty");
	if (last != '\n') {
		counts.lines++;
		counts.blank += !has_text;
		counts.trailing += after_space;
		if (max_lines && counts.lines > max_lines)
			fail(REJECT, "more than %llu line%s", max_lines, plural(max_lines));
	}
	return counts;
}

static void put_json(const char *text, FILE *out)
{
	fputc('"', out);
	for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
		if (*c == '"' || *c == '\\')
			fprintf(out, "\\%c", *c);
		else if (*c < 0x20 || *c == 0x7f)
			fprintf(out, "\\u%04x", *c);
		else
			fputc(*c, out);
	}
	fputc('"', out);
}

/* The counts and the labels of the item, as one line of JSON. */
static void summary(const struct counts *counts)
{
	const char *comma = "";

	printf("{\"lines\":%llu,\"words\":%llu,\"bytes\":%llu,\"blank\":%llu,\"trailing\":%llu,\"longest\":%llu,\"labels\":{",
	       counts->lines, counts->words, counts->bytes, counts->blank, counts->trailing, counts->longest);
	for (char **entry = environ; *entry; entry++) {
		const char *equals = strchr(*entry, '=');
		char name[65];
		size_t length = 0;

		if (strncmp(*entry, LABEL, strlen(LABEL)) != 0 || !equals)
			continue;
		for (const char *c = *entry + strlen(LABEL); c < equals && length + 1 < sizeof name; c++)
			name[length++] = (char)tolower((unsigned char)*c);
		name[length] = 0;
		fputs(comma, stdout);
		put_json(name, stdout);
		fputc(':', stdout);
		put_json(equals + 1, stdout);
		comma = ",";
	}
	puts("}}");
}

/* The value of the label `name`; none if it is not there, or could be more than a word in Markdown. */
static const char *word_label(const char *name)
{
	char key[sizeof LABEL + 64] = LABEL;
	size_t at = strlen(LABEL);
	const char *value;

	for (; *name && at + 1 < sizeof key; name++)
		key[at++] = isalnum((unsigned char)*name) ? (char)toupper((unsigned char)*name) : '_';
	value = getenv(key);
	if (!value || !*value)
		return NULL;
	for (const char *c = value; *c; c++)
		if (!isalnum((unsigned char)*c) && *c != '-' && *c != '.')
			return NULL;
	return value;
}

/* A last paragraph in Markdown: the counts, and the labels that are named. */
static void footer(const struct counts *counts, char **names)
{
	printf("\n---\n\n%llu line%s, %llu word%s", counts->lines, plural(counts->lines), counts->words,
	       plural(counts->words));
	for (; *names; names++) {
		const char *value = word_label(*names);

		if (value)
			printf(", %s: %s", *names, value);
	}
	printf("\n");
}

/* One line for the host: the text that was kept, with the counts as labels. */
static void outputs(const struct counts *counts)
{
	const char *path = getenv("ANDON_OUTPUT");
	FILE *out;

	if (!path || !*path)
		fail(REJECT, "ANDON_OUTPUT names no file, so there is nowhere to put labels");
	out = fopen(path, "a");
	check(out != NULL, "cannot open the file that ANDON_OUTPUT names");
	fprintf(out, "{\"port\":\"pass\",\"file\":\"%s\",\"labels\":{\"lines\":\"%llu\",\"words\":\"%llu\",\"longest\":\"%llu\"}}\n",
		KEPT, counts->lines, counts->words, counts->longest);
	check(fclose(out) == 0, "cannot write the file that ANDON_OUTPUT names");
}

int main(int argc, char **argv)
{
	enum { SUMMARY, FOOTER, LABELS } mode = SUMMARY;
	unsigned long long max_lines = 0;
	struct counts counts;
	FILE *copy = NULL;
	int next = 1;

	for (; next < argc && strncmp(argv[next], "--", 2) == 0; next++) {
		if (strcmp(argv[next], "--footer") == 0) {
			mode = FOOTER;
		} else if (strcmp(argv[next], "--labels") == 0) {
			mode = LABELS;
		} else if (strcmp(argv[next], "--max-lines") == 0 && next + 1 < argc) {
			char *end;

			errno = 0;
			max_lines = strtoull(argv[++next], &end, 10);
			if (!isdigit((unsigned char)argv[next][0]) || *end || errno || max_lines == 0)
				fail(USAGE, "--max-lines takes a number from 1, not `%s`", argv[next]);
		} else {
			fail(USAGE, "unknown argument `%s`; usage: line-stats [--max-lines N] [--labels | --footer [LABEL...]]", argv[next]);
		}
	}
	if (next < argc && mode != FOOTER)
		fail(USAGE, "names of labels go with --footer only, not `%s`", argv[next]);

	if (mode == FOOTER) {
		copy = stdout;
	} else if (mode == LABELS) {
		copy = fopen(WORKSPACE KEPT, "wb");
		check(copy != NULL, "cannot create `" WORKSPACE KEPT "`");
	}
	counts = count(stdin, copy, max_lines);
	switch (mode) {
	case SUMMARY:
		summary(&counts);
		break;
	case FOOTER:
		footer(&counts, argv + next);
		break;
	case LABELS:
		check(fclose(copy) == 0, "cannot write `" WORKSPACE KEPT "`");
		outputs(&counts);
		break;
	}
	check(fflush(stdout) == 0 && !ferror(stdout), "cannot write to stdout");
	fprintf(stderr, "%llu line%s, %llu word%s\n", counts.lines, plural(counts.lines), counts.words,
		plural(counts.words));
	return PASS;
}
