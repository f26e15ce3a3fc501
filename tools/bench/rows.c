/* SPDX-License-Identifier: MIT */
#include "bench.h"

extern const struct row row_request_64, row_request_32, row_request_1k, row_request_4k, row_request_cold,
	row_request_sleep, row_stream, row_producers, row_publish_64, row_read_64, row_fresh_64, row_read_4k,
	row_read_64k, row_read_1m, row_read_8m, row_read_64m, row_publish_64k, row_publish_1m, row_publish_8m,
	row_publish_64m, row_hand_64k, row_hand_1m, row_hand_8m, row_beside_64k, row_beside_1m, row_beside_8m,
	row_adaptive, row_silent, row_wake, row_video, row_steady, row_life;

const struct row *const rows[] = {
	&row_request_64, &row_request_32,  &row_request_1k, &row_request_4k, &row_request_cold, &row_request_sleep,
	&row_adaptive,	 &row_stream,	   &row_producers,  &row_silent,     &row_publish_64,	&row_read_64,
	&row_fresh_64,	 &row_wake,	   &row_read_4k,    &row_read_64k,   &row_read_1m,	&row_read_8m,
	&row_read_64m,	 &row_publish_64k, &row_publish_1m, &row_publish_8m, &row_publish_64m,	&row_hand_64k,
	&row_hand_1m,	 &row_hand_8m,	   &row_beside_64k, &row_beside_1m,  &row_beside_8m,	&row_video,
	&row_steady,	 &row_life,
};
const unsigned int nrows = ARRAY_SIZE(rows);
