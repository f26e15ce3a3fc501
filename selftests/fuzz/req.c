/* SPDX-License-Identifier: MIT */
/*
 * What `venom req NAME -` makes of standard input (feed.h), with its own code and a real daemon that returns each
 * command as its answer: the output must be the same bytes. Byte 0: whether with --json.
 */
#include "fuzz/lib/feed.h"

#include "../../tools/req.c"

const struct verb *verb = &verb_req;

enum { ANSWERS, TEXT, BASE64, TOO_MUCH };
const char *const fuzz_goals[] = {"answers", "as text", "as base64", "too long", NULL};

static struct venom_shell *s;

static int echo(struct venom_daemon *dm, const struct venom_command *cmd, void *user)
{
	(void)user;
	return venom_daemon_respond(dm, cmd, cmd->data, cmd->len);
}

static size_t unbase64(uint8_t *to, const char *from)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint32_t bits = 0, have = 0;
	size_t n = 0;

	for (; *from != '"' && *from != '='; from++) {
		FUZZ_CHECK(strchr(digits, *from));
		bits = bits << 6 | (uint32_t)(strchr(digits, *from) - digits);
		have += 6;
		if (have >= 8)
			to[n++] = (uint8_t)(bits >> (have -= 8));
	}
	return n;
}

static size_t unescape(uint8_t *to, unsigned int code)
{
	if (code < 0x80) {
		*to = (uint8_t)code;
		return 1;
	}
	if (code < 0x800) {
		to[0] = (uint8_t)(0xc0 | code >> 6);
		to[1] = (uint8_t)(0x80 | (code & 0x3f));
		return 2;
	}
	to[0] = (uint8_t)(0xe0 | code >> 12);
	to[1] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
	to[2] = (uint8_t)(0x80 | (code & 0x3f));
	return 3;
}

static size_t unquote(uint8_t *to, const char *from)
{
	unsigned int code;
	size_t n = 0;

	for (; *from != '"'; from++) {
		FUZZ_CHECK((unsigned char)*from >= ' ');
		if (*from != '\\') {
			to[n++] = (uint8_t)*from;
		} else if (*++from == 'u') {
			FUZZ_CHECK(sscanf(from + 1, "%4x", &code) == 1);
			n += unescape(to + n, code);
			from += 4;
		} else {
			FUZZ_CHECK(*from == '"' || *from == '\\');
			to[n++] = (uint8_t)*from;
		}
	}
	return n;
}

static void check_json(const char *out, const uint8_t *text, size_t len)
{
	uint8_t got[8 * SIZE];
	unsigned long long ns;
	size_t n, said;
	int at = 0;

	FUZZ_CHECK(sscanf(out, "{\"latency_ns\": %llu, \"length\": %zu, %n", &ns, &said, &at) == 2 && at &&
		   said == len);
	out += at;
	if (!strncmp(out, "\"data\": \"", 9)) {
		n = unquote(got, out + 9);
		fuzz_met[TEXT]++;
	} else {
		FUZZ_CHECK(!strncmp(out, "\"base64\": \"", 11));
		n = unbase64(got, out + 11);
		fuzz_met[BASE64]++;
	}
	FUZZ_CHECK(n == len && !memcmp(got, text, n));
	out += strlen(out) - 3;
	FUZZ_CHECK(!strcmp(out, "\"}\n"));
}

static ssize_t feed_stdio(void *cookie, char *buf, size_t size)
{
	(void)cookie;
	return feed(buf, size);
}

static void req(bool json)
{
	static const cookie_io_functions_t from_feed = {.read = feed_stdio};
	FILE *old_in = stdin, *old_out = stdout;
	struct req r = {.name = NAME, .s = s, .json = json, .timeout = -1, .count = 1};
	char dash[] = "-", *argv[] = {dash, NULL}, *out = NULL;
	bool extra;
	size_t n, len;
	int status;

	if (in.trouble != BROKEN) /* signals end this verb, they do not interrupt it */
		in.trouble = WELL;
	stdin = fopencookie(NULL, "r", from_feed);
	stdout = open_memstream(&out, &n);
	FUZZ_CHECK(stdin && stdout && !setvbuf(stdin, NULL, _IONBF, 0));
	status = talk(&r, 1, argv);
	fclose(stdin);
	fclose(stdout);
	stdin = old_in;
	stdout = old_out;

	len = fed();
	FUZZ_CHECK(status == (len > SIZE || broken()));
	fuzz_met[status ? TOO_MUCH : ANSWERS]++;
	if (status) {
		FUZZ_CHECK(!n);
	} else if (json) {
		check_json(out, in.from, len);
	} else {
		extra = !len || in.from[len - 1] != '\n';
		FUZZ_CHECK(n == len + extra && !memcmp(out, in.from, len) && (!extra || out[len] == '\n'));
	}
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct service *service;
	struct venom_daemon *d;

	if (!s) {
		d = feed_daemon(1);
		FUZZ_CHECK(!service_start(&service, d, echo, NULL));
		FUZZ_CHECK(!venom_shell_connect(&s, NAME));
	}
	if (!feed_start(data, size))
		return -1;
	req(data[0] & 1);
	return 0;
}
