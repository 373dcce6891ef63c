#include "actors/wire_types.hpp"

#include "actors/interfaces.hpp"

namespace cairn {

void add_wire_types(caf::actor_system_config& config) {
  config.add_message_type<hello>("cairn::hello")
    .add_message_type<hello_reply>("cairn::hello_reply")
    .add_message_type<archive_key_entire>("cairn::archive_key_entire")
    .add_message_type<archive_key_start>("cairn::archive_key_start")
    .add_message_type<archive_key_next>("cairn::archive_key_next")
    .add_message_type<archive_key_final>("cairn::archive_key_final")
    .add_message_type<sync_value_file>("cairn::sync_value_file")
    .add_message_type<archive_key_cancel>("cairn::archive_key_cancel")
    .add_message_type<destroy_key>("cairn::destroy_key")
    .add_message_type<start_conjoined_archive>("cairn::start_conjoined_archive")
    .add_message_type<abort_conjoined_archive>("cairn::abort_conjoined_archive")
    .add_message_type<finish_conjoined_archive>("cairn::finish_conjoined_archive")
    .add_message_type<gateway_start>("cairn::gateway_start")
    .add_message_type<purge>("cairn::purge")
    .add_message_type<add_node>("cairn::add_node")
    .add_message_type<archive_reply>("cairn::archive_reply")
    .add_message_type<retrieve_start>("cairn::retrieve_start")
    .add_message_type<retrieve_next>("cairn::retrieve_next")
    .add_message_type<retrieve_reply>("cairn::retrieve_reply")
    .add_message_type<lookup>("cairn::lookup")
    .add_message_type<lookup_reply>("cairn::lookup_reply")
    .add_message_type<list_keys>("cairn::list_keys")
    .add_message_type<list_reply>("cairn::list_reply")
    .add_message_type<list_versions>("cairn::list_versions")
    .add_message_type<list_handoffs>("cairn::list_handoffs")
    .add_message_type<handoff_reply>("cairn::handoff_reply")
    .add_message_type<list_nodes>("cairn::list_nodes")
    .add_message_type<nodes_reply>("cairn::nodes_reply")
    .add_message_type<get_status>("cairn::get_status")
    .add_message_type<status_reply>("cairn::status_reply")
    .add_message_type<heartbeat>("cairn::heartbeat")
    .add_message_type<find_node>("cairn::find_node")
    .add_message_type<found_node>("cairn::found_node")
    .add_message_type<list_hosted>("cairn::list_hosted")
    .add_message_type<hosted_nodes>("cairn::hosted_nodes")
    .add_message_type<start_node>("cairn::start_node")
    .add_message_type<node_started>("cairn::node_started")
    .add_message_type<end_node>("cairn::end_node")
    .add_message_type<node_ended>("cairn::node_ended");
}

} // namespace cairn
