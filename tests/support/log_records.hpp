#pragma once
/// Records for tests that fold, placed one after the other as a log would.

#include "core/log/record.hpp"

#include <random>
#include <string>
#include <vector>

namespace cairn {

/// A list of placed records that grows at its end.
class record_list {
public:
  explicit record_list(std::uint64_t first_lsn = 1) : next_lsn_(first_lsn) {}

  record_list& add(record_body body);
  /// Sequence 0 and final of a segment.
  record_list& add_entire(const segment_identity& of, metadata meta = {});

  [[nodiscard]] const std::vector<placed_record>& all() const { return records_; }
  [[nodiscard]] log_sequence_number last_lsn() const { return log_sequence_number{next_lsn_ - 1}; }

private:
  std::uint64_t next_lsn_;
  std::vector<placed_record> records_;
};

segment_identity make_identity(std::int64_t id, std::uint64_t version, std::string key = "key");
sequence_record make_sequence(const segment_identity& of, std::int32_t number, std::uint32_t size_bytes = 10);
final_record make_final(const segment_identity& of, std::int32_t count, std::uint64_t total_bytes,
                        metadata meta = {});
/// Of as many sequences, of 10 bytes as make_sequence() has them, which lie there; of the file of
/// make_final().
repair_record make_repair(const segment_identity& of, const std::vector<placement>& places,
                          metadata meta = {});
cancel_record make_cancel(const segment_key& key, cancel_reason reason = cancel_reason::client,
                          segment_id id = {});
conjoined_record make_conjoined(std::int64_t row_id, std::uint64_t version, conjoined_action action,
                                std::int64_t timestamp = 1'700'000'000'000'000);

/// Records of every type, of few keys: attempts that win, lose, are cancelled, forgotten, purged, finished
/// with wrong counts, repeated and out of order. Ids are never used for two keys, as in a real log.
record_list random_records(std::mt19937_64& random, std::size_t count);

} // namespace cairn
