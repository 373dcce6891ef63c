#include "net/cli/upload.hpp"

#include <algorithm>

namespace cairn::cli {

namespace {

/// Large enough that a sequence's costs do not matter, small enough that several fit a client's window.
constexpr std::size_t sequence_bytes = 4U << 20U;
constexpr std::size_t max_sequences_under_way = 8;

} // namespace

upload::upload(client& node, output& out, segment_info segment, metadata meta,
               std::optional<std::uint64_t> max_bytes)
    : node_(node), out_(out), segment_(std::move(segment)), meta_(std::move(meta)), bytes_left_(max_bytes) {}

tl::expected<payload, std::string> upload::read(source& from) {
  const auto wanted = bytes_left_
                        ? static_cast<std::size_t>(std::min<std::uint64_t>(*bytes_left_, sequence_bytes))
                        : sequence_bytes;
  auto piece = from.next(wanted);
  if (piece && bytes_left_)
    *bytes_left_ -= piece->size();
  return piece;
}

/// Reads ahead by one sequence, because the last one travels in another message than the others.
exit_code upload::run(source& from, progress& bar) {
  const auto failed = [&](const std::string& why) {
    out_.error(why);
    return exit_code::failed;
  };
  auto piece = read(from);
  if (!piece)
    return failed(piece.error());
  for (;;) {
    auto following = piece->size() < sequence_bytes ? payload{} : read(from);
    if (!following)
      return failed(following.error());
    const auto is_last = following->empty();
    const auto bytes = piece->size();
    send(std::move(*piece), is_last);
    bar.advance(bytes);
    while (under_way_.size() > (is_last ? 0 : max_sequences_under_way - 1))
      if (!settle())
        return code_;
    if (is_last)
      return exit_code::done;
    piece = std::move(*following);
  }
}

void upload::send(payload data, bool is_last) {
  const auto digests = digest_payload(data.bytes());
  const sequence_info sequence{next_sequence_++, static_cast<std::uint32_t>(data.size()), 0, digests.md5,
                               digests.adler32};
  const auto is_only = is_last && sequence.sequence_num == 0;
  if (is_only) {
    file_ = {sequence.size_bytes, digests.adler32, digests.md5};
  } else {
    whole_.update(data.bytes());
    file_.adler32 = adler32(data.bytes(), file_.adler32);
    file_.size_bytes += sequence.size_bytes;
    if (is_last)
      file_.md5 = whole_.digest();
  }
  const node_names nodes{node_.node().node, {}};
  const named_segment_key key{segment_.version, segment_.conjoined_part, segment_.segment_num, {}};
  if (is_only)
    under_way_.push_back(node_.send<archive_reply>(
      archive_key_entire{{}, segment_, sequence, file_, nodes, meta_, std::move(data)}));
  else if (is_last)
    under_way_.push_back(
      node_.send<archive_reply>(archive_key_final{{}, key, sequence, file_, meta_, std::move(data)}));
  else if (sequence.sequence_num == 0)
    under_way_.push_back(
      node_.send<archive_reply>(archive_key_start{{}, segment_, sequence, nodes, std::move(data)}));
  else
    under_way_.push_back(node_.send<archive_reply>(archive_key_next{{}, key, sequence, std::move(data)}));
}

bool upload::settle() {
  auto waiting = std::move(under_way_.front());
  under_way_.pop_front();
  auto reply = waiting();
  if (reply && reply->result == errc::cancelled) {
    was_cancelled_ = true;
    for (auto& other : std::exchange(under_way_, {}))
      (void)other(); // theirs is the same fate
    return false;
  }
  const auto taken = take(out_, std::move(reply), code_);
  if (taken)
    proof_ = taken->proof;
  return taken.has_value();
}

} // namespace cairn::cli
