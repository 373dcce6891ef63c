#pragma once
/// How microseconds since 1970 become a timestamptz and back, exactly. Private to core/db.

// An interval is multiplied in double precision: hours apart, and no date loses its microseconds.
#define CAIRN_SQL_FROM_US(expression)                                                                        \
  "(timestamptz 'epoch' + (" expression ") / 3600000000 * interval '1 hour'"                                 \
  " + (" expression ") % 3600000000 * interval '1 microsecond')"
#define CAIRN_SQL_TO_US(expression) "round(extract(epoch from " expression ") * 1000000)::int8"
