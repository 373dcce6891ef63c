#include "actors/reader.hpp"

#include "actors/faults.hpp"

#include <algorithm>
#include <random>

#include <fmt/format.h>

namespace cairn {

namespace {

using self_pointer = reader_actor::stateful_pointer<reader_state>;

/// Retrievals that one reader holds open at most.
constexpr std::size_t max_open_retrievals = 4'096;

/// Questions that are put to the database together at most.
constexpr std::size_t max_gathered = 64;

log_sequence_number acknowledged(const reader_state& state) {
  return log_sequence_number{state.options.vitals->acknowledged_lsn.load()};
}

template <class Reply>
Reply failed(const envelope& env, failure why) {
  Reply reply;
  reply.env = env;
  reply.result = why.code;
  reply.error_message = std::move(why.message);
  return reply;
}

/// Which sequences a range of the segment's bytes touches; the others are dropped.
void aim(open_retrieval& retrieval) {
  auto& sequences = retrieval.segment.sequences;
  const auto count = static_cast<std::int32_t>(sequences.size());
  std::uint64_t begin = 0;
  retrieval.sequence_count = count;
  retrieval.first = count;
  for (std::int32_t i = 0; i < count; ++i) {
    const auto size = sequences[static_cast<std::size_t>(i)].info.size_bytes;
    const auto is_whole = retrieval.range == byte_range{};
    const auto touches = size != 0 && begin <= retrieval.range.last && begin + size > retrieval.range.first;
    if (touches || (is_whole && size == 0)) {
      retrieval.first = std::min(retrieval.first, i);
      retrieval.last = i;
    }
    retrieval.begins.push_back(begin);
    begin += size;
  }
  const auto keep = [&](auto& of_each) {
    of_each.erase(of_each.begin() + (retrieval.last + 1), of_each.end());
    of_each.erase(of_each.begin(), of_each.begin() + std::min(retrieval.first, retrieval.last + 1));
  };
  keep(sequences);
  keep(retrieval.begins);
  retrieval.is_given.resize(sequences.size());
}

/// Reads of one sequence what lies in the range, for the client to be given.
result<retrieved_sequence> fetch(segment_reader& reader, open_retrieval& retrieval,
                                 std::int32_t sequence_num) {
  const auto at = static_cast<std::size_t>(sequence_num - retrieval.first);
  const auto begin = retrieval.begins[at];
  retrieved_sequence out;
  out.info = retrieval.segment.sequences[at].info;
  value_file_cache::data_part part;
  if (out.info.size_bytes != 0) {
    part.offset_bytes = static_cast<std::uint32_t>(std::max(retrieval.range.first, begin) - begin);
    const auto last = std::min<std::uint64_t>(retrieval.range.last - begin, out.info.size_bytes - 1U);
    part.size_bytes = static_cast<std::uint32_t>(last) - part.offset_bytes + 1;
  }
  auto data = reader.read_sequence(retrieval.segment, at, part);
  if (!data)
    return pass_failure(data);
  out.offset_bytes = part.offset_bytes;
  out.data = std::move(*data);
  retrieval.is_given[at] = true;
  return out;
}

bool is_finished(const open_retrieval& retrieval) {
  return std::all_of(retrieval.is_given.begin(), retrieval.is_given.end(), [](bool given) { return given; });
}

/// A full table loses the retrieval that was used longest ago.
void make_room(reader_state& state) {
  if (state.retrievals.size() < max_open_retrievals)
    return;
  const auto oldest =
    std::min_element(state.retrievals.begin(), state.retrievals.end(),
                     [](const auto& a, const auto& b) { return a.second.last_used < b.second.last_used; });
  state.retrievals.erase(oldest);
}

/// The reply to a question whose segment was found.
retrieve_reply open(reader_state& state, const retrieve_start& request, stored_segment segment) {
  open_retrieval retrieval;
  retrieval.segment = std::move(segment);
  retrieval.range = request.range;
  retrieval.last_used = std::chrono::steady_clock::now();
  aim(retrieval);

  retrieve_reply reply;
  reply.env = request.env;
  reply.sequence_count = retrieval.sequence_count;
  reply.first_sequence = retrieval.first;
  reply.last_sequence = retrieval.last;
  reply.segment = retrieval.segment.segment;
  reply.nodes = {state.options.nodes->name_of(retrieval.segment.nodes.source),
                 state.options.nodes->name_of(retrieval.segment.nodes.handoff)};
  reply.file = retrieval.segment.file;
  reply.meta = std::move(retrieval.segment.meta);
  if (retrieval.first <= retrieval.last) {
    auto first = fetch(*state.reader, retrieval, retrieval.first);
    if (first) {
      reply.sequence = std::move(*first);
    } else {
      reply.result = first.error().code; // the other sequences can still be read
      reply.error_message = std::move(first.error().message);
    }
  }
  if (retrieval.first < retrieval.last) {
    make_room(state);
    reply.retrieval = state.next_retrieval++ * state.options.count + state.options.index;
    state.retrievals.emplace(reply.retrieval, std::move(retrieval));
  }
  return reply;
}

retrieve_reply open_version(reader_state& state, const retrieve_start& request) {
  auto key = resolve(request.segment, {*state.options.nodes, state.options.limits});
  auto segment =
    key ? state.reader->find_segment(*key, acknowledged(state)) : result<stored_segment>(pass_failure(key));
  if (!segment)
    return failed<retrieve_reply>(request.env, std::move(segment.error()));
  return open(state, request, std::move(*segment));
}

retrieve_reply continue_retrieval(reader_state& state, const retrieve_next& request) {
  const auto found = state.retrievals.find(request.retrieval);
  if (found == state.retrievals.end())
    return failed<retrieve_reply>(request.env,
                                  {errc::not_found, fmt::format("retrieval {} is not open (any more): "
                                                                "send retrieve_start again",
                                                                request.retrieval)});
  auto& retrieval = found->second;
  if (request.sequence_num < retrieval.first || request.sequence_num > retrieval.last)
    return failed<retrieve_reply>(
      request.env,
      {errc::invalid_message, fmt::format("sequence_num is {}, this retrieval has {}..{}",
                                          request.sequence_num, retrieval.first, retrieval.last)});
  retrieval.last_used = std::chrono::steady_clock::now();
  auto sequence = fetch(*state.reader, retrieval, request.sequence_num);
  if (!sequence)
    return failed<retrieve_reply>(request.env, std::move(sequence.error()));
  retrieve_reply reply;
  reply.env = request.env;
  reply.sequence_count = retrieval.sequence_count;
  reply.first_sequence = retrieval.first;
  reply.last_sequence = retrieval.last;
  reply.sequence = std::move(*sequence);
  if (is_finished(retrieval))
    state.retrievals.erase(found);
  else
    reply.retrieval = request.retrieval;
  return reply;
}

lookup_reply look_up(reader_state& state, const lookup& request) {
  auto found = state.reader->look_up(request.collection, request.key, request.version, acknowledged(state));
  if (!found)
    return failed<lookup_reply>(request.env, std::move(found.error()));
  lookup_reply reply;
  reply.env = request.env;
  reply.version = found->version;
  reply.timestamp = found->timestamp;
  reply.file = found->file;
  reply.is_tombstone = found->is_tombstone;
  reply.segments = std::move(found->segments);
  if (request.with_receipts)
    for (auto& held : reply.segments) {
      const auto segment = state.reader->find_segment(
        {found->version, held.conjoined_part, held.segment_num, node_id{}}, acknowledged(state));
      const auto proof = segment ? state.reader->find_receipt(*segment) : tl::unexpected(segment.error());
      if (!proof) {
        reply.result = proof.error().code; // the rest of the reply stands
        reply.error_message = proof.error().message;
        continue;
      }
      held.proof = *proof;
    }
  reply.meta = std::move(found->meta);
  return reply;
}

list_reply as_reply(const envelope& env, result<key_listing> found) {
  if (!found)
    return failed<list_reply>(env, std::move(found.error()));
  list_reply reply;
  reply.env = env;
  reply.keys = std::move(found->keys);
  reply.is_truncated = found->is_truncated;
  return reply;
}

list_reply list(reader_state& state, const list_keys& request) {
  return as_reply(request.env, state.reader->list_keys(request, acknowledged(state)));
}

list_reply list(reader_state& state, const list_versions& request) {
  return as_reply(request.env, state.reader->list_versions(request, acknowledged(state)));
}

handoff_reply list(reader_state& state, const list_handoffs& request) {
  const auto node = state.options.nodes->id_of(request.node);
  if (!node)
    return failed<handoff_reply>(request.env, node.error());
  auto found = state.reader->list_handoffs(*node, request.marker, request.limit, acknowledged(state));
  if (!found)
    return failed<handoff_reply>(request.env, std::move(found.error()));
  handoff_reply reply;
  reply.env = request.env;
  for (auto& held : found->handoffs)
    reply.handoffs.push_back({held.row, std::move(held.segment), state.options.nodes->name_of(held.source),
                              held.is_tombstone, held.deletes});
  reply.is_truncated = found->is_truncated;
  return reply;
}

/// A reader cannot mend the database, but it may be the first to notice.
template <class Reply>
Reply noticed(reader_state& state, Reply reply) {
  if (reply.result == errc::database_unavailable)
    state.options.vitals->readers_wait = true;
  return reply;
}

/// Whoever is not answered yet stays in the state, for its destructor to tell.
void answer(reader_state& state) {
  std::vector<collection_key> keys;
  for (const auto& question : state.gathered)
    keys.push_back({question.request.collection, question.request.key});
  if (keys.empty())
    return;
  auto found = state.reader->find_newest(keys, acknowledged(state));
  for (std::size_t i = 0; i < keys.size(); ++i) {
    auto& [request, promise] = state.gathered[i];
    if (!found)
      promise.deliver(noticed(state, failed<retrieve_reply>(request.env, found.error())));
    else if (!(*found)[i])
      promise.deliver(failed<retrieve_reply>(request.env, {errc::not_found, "no such key"}));
    else
      promise.deliver(noticed(state, open(state, request, std::move(*(*found)[i]))));
  }
  state.gathered.clear();
}

caf::result<retrieve_reply> start_retrieval(self_pointer self, retrieve_start request) {
  auto& state = self->state;
  if (request.segment.version != unified_id{})
    return noticed(state, open_version(state, request));
  auto promise = self->make_response_promise<retrieve_reply>();
  state.gathered.push_back({std::move(request), promise});
  if (state.gathered.size() == 1)
    self->send(self, answer_gathered{});
  if (state.gathered.size() == max_gathered)
    answer(state);
  return promise;
}

void close_idle(reader_state& state) {
  const auto limit = std::chrono::steady_clock::now() - state.options.idle_limit;
  std::erase_if(state.retrievals, [&](const auto& entry) { return entry.second.last_used < limit; });
}

} // namespace

reader_state::~reader_state() {
  for (auto& [request, promise] : gathered)
    if (promise.pending())
      promise.deliver(caf::make_error(caf::sec::runtime_error, "the reader ended"));
}

reader_actor::behavior_type reader(self_pointer self, reader_options options) {
  exit_on_exception(self);
  auto& state = self->state;
  state.options = std::move(options);
  state.reader = std::make_unique<segment_reader>(*state.options.value_file_disk, state.options.spaces_root,
                                                  state.options.database);
  // A number that an earlier reader gave out must not name another segment here.
  state.next_retrieval = (std::uint64_t{std::random_device{}()} << 20U) + 1;
  const auto sweep =
    std::max<std::chrono::milliseconds>(state.options.idle_limit / 4, std::chrono::milliseconds{50});
  self->delayed_send(self, sweep, interval_tick{});
  return {
    [=](retrieve_start& m) { return start_retrieval(self, std::move(m)); },
    [=](const retrieve_next& m) { return noticed(self->state, continue_retrieval(self->state, m)); },
    [=](const lookup& m) { return noticed(self->state, look_up(self->state, m)); },
    [=](const list_keys& m) { return noticed(self->state, list(self->state, m)); },
    [=](const list_versions& m) { return noticed(self->state, list(self->state, m)); },
    [=](const list_handoffs& m) { return noticed(self->state, list(self->state, m)); },
    [=](answer_gathered) { answer(self->state); },
    [=](interval_tick) {
      close_idle(self->state);
      self->state.reader->rest();
      self->delayed_send(self, sweep, interval_tick{});
    },
  };
}

} // namespace cairn
