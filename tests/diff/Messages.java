package diff;


import com.fasterxml.jackson.core.*;
import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.fasterxml.jackson.databind.*;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.*;
import java.io.*;
import java.lang.reflect.*;
import java.net.*;
import java.nio.ByteBuffer;
import java.nio.file.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.regex.*;
import org.apache.kafka.clients.consumer.ConsumerPartitionAssignor;
import org.apache.kafka.clients.consumer.internals.ConsumerProtocol;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.message.*;
import org.apache.kafka.common.protocol.*;
import org.apache.kafka.common.record.*;
import org.apache.kafka.common.record.internal.*;

/** Requests as JSON, and the bytes that they become. */
final class Messages {
    static final JsonMapper M = JsonMapper.builder()
        .enable(JsonReadFeature.ALLOW_UNQUOTED_FIELD_NAMES, JsonReadFeature.ALLOW_SINGLE_QUOTES, JsonReadFeature.ALLOW_TRAILING_COMMA,
                JsonReadFeature.ALLOW_JAVA_COMMENTS).build();
    /** Record timestamps in scenarios are relative to this: an hour ago, a whole minute. */
    static final long T = (System.currentTimeMillis() / 60000 - 60) * 60000;
    static final String MSG = "org.apache.kafka.common.message.";

    static Object conv(Class<?> c, String m, Object... a) throws Exception {
        for (Method x : c.getMethods()) if (x.getName().equals(m) && x.getParameterCount() == a.length && Modifier.isStatic(x.getModifiers())) {
            try { return x.invoke(null, a); } catch (InvocationTargetException e) { throw (Exception) e.getCause(); }
        }
        throw new IllegalStateException(c + "." + m);
    }
    static Class<?> element(Type t) {
        if (t instanceof ParameterizedType p) return element(p.getActualTypeArguments()[0]);
        if (t instanceof Class<?> c) {
            if (Message.class.isAssignableFrom(c)) return c;
            if (ImplicitCol.is(c)) return element(c.getGenericSuperclass());
        }
        return null;
    }
    static class ImplicitCol { static boolean is(Class<?> c) { return org.apache.kafka.common.utils.internals.ImplicitLinkedHashCollection.class.isAssignableFrom(c); } }
    static void fill(JsonNode n, Class<?> c, Class<?> outerConv, Class<?> converter, short v) throws Exception {
        if (!(n instanceof ObjectNode o)) return;
        JsonNode d;
        try { d = (JsonNode) conv(converter, "write", c.getDeclaredConstructor().newInstance(), v, true); }
        catch (org.apache.kafka.common.errors.UnsupportedVersionException e) { return; }
        for (Iterator<Map.Entry<String, JsonNode>> it = d.fields(); it.hasNext(); ) { var e = it.next(); if (!o.has(e.getKey())) o.set(e.getKey(), e.getValue()); }
        Set<String> in = new HashSet<>(); // what this version has
        org.apache.kafka.common.protocol.types.Schema sch = ((org.apache.kafka.common.protocol.types.Schema[]) c.getField("SCHEMAS").get(null))[v];
        for (var bf : sch.fields()) { in.add(camel(bf.def.name)); if (bf.def.type instanceof org.apache.kafka.common.protocol.types.TaggedFields tf) tf.fields().values().forEach(x -> in.add(camel(x.name))); }
        for (String k : names(o)) { try { c.getDeclaredField(k); } catch (NoSuchFieldException x) { throw new IllegalArgumentException("no field " + k + " in " + c.getSimpleName()); } if (!in.contains(k)) o.remove(k); }
        for (Iterator<Map.Entry<String, JsonNode>> it = o.fields(); it.hasNext(); ) {
            var e = it.next(); Field f;
            try { f = c.getDeclaredField(e.getKey()); } catch (NoSuchFieldException x) { throw new IllegalArgumentException("no field " + e.getKey() + " in " + c.getSimpleName()); }
            Class<?> el = element(f.getGenericType()); if (el == null) continue;
            Class<?> ec; try { ec = Class.forName(outerConv.getName() + "$" + el.getSimpleName() + "JsonConverter"); } catch (ClassNotFoundException x) { continue; }
            if (e.getValue().isArray()) for (JsonNode x : e.getValue()) fill(x, el, outerConv, ec, v); else fill(e.getValue(), el, outerConv, ec, v);
        }
    }
    static String camel(String s) { StringBuilder b = new StringBuilder(); boolean up = false; for (char ch : s.toCharArray()) { if (ch == '_') up = true; else { b.append(up ? Character.toUpperCase(ch) : ch); up = false; } } return b.toString(); }
    static String str(JsonNode n) { return n == null || n.isNull() ? null : n.asText(); }
    static byte[] bytes(JsonNode n) {
        if (n == null || n.isNull()) return null;
        if (n.isObject() && n.has("$x")) { byte[] b = new byte[n.get("$x").asInt()]; new Random(7).nextBytes(b); return b; }
        if (n.isObject() && n.has("$z")) { byte[] b = new byte[n.get("$z").asInt()]; Arrays.fill(b, (byte) 'z'); return b; }
        return n.asText().getBytes();
    }
    static byte[] cat(List<byte[]> l) throws IOException { var o = new ByteArrayOutputStream(); for (byte[] b : l) o.write(b); return o.toByteArray(); }
    static byte[] arr(ByteBuffer b) { b = b.duplicate(); byte[] r = new byte[b.remaining()]; b.get(r); return r; }

    /** A batch whose header and checksum are right and what follows is as asked for: see the head. */
    static byte[] forge(JsonNode f) throws IOException {
        CompressionType codec = CompressionType.forName(f.path("codec").asText("none"));
        byte[] inside;
        if (f.has("plain")) inside = f.get("plain").asText().getBytes();
        else {
            List<byte[]> all = new ArrayList<>(); int i = 0;
            long first = f.has("times_ms") ? f.get("times_ms").get(0).asLong() : T;
            for (JsonNode delta : f.get("deltas")) {
                long at = f.has("times_ms") ? f.get("times_ms").get(i++).asLong() : T;
                ByteBuffer one = ByteBuffer.allocate(200); one.put((byte) 0);
                org.apache.kafka.common.utils.internals.ByteUtils.writeVarlong(at - first, one); org.apache.kafka.common.utils.internals.ByteUtils.writeVarint(delta.asInt(), one);
                org.apache.kafka.common.utils.internals.ByteUtils.writeVarint(-1, one); org.apache.kafka.common.utils.internals.ByteUtils.writeVarint(1, one); one.put((byte) 'v');
                org.apache.kafka.common.utils.internals.ByteUtils.writeVarint(0, one); one.put(f.path("extra").asText("").getBytes()); one.flip();
                ByteBuffer sized = ByteBuffer.allocate(210); org.apache.kafka.common.utils.internals.ByteUtils.writeVarint(one.remaining(), sized); sized.put(one); sized.flip(); all.add(arr(sized));
            }
            inside = cat(all);
            for (int n = codec == CompressionType.NONE ? 0 : f.path("times").asInt(1); n > 0; n--) {
                var out = new org.apache.kafka.common.utils.internals.ByteBufferOutputStream(1024);
                try (OutputStream o = Compression.of(codec).build().wrapForOutput(out, (byte) 2)) { o.write(inside); }
                ByteBuffer b = out.buffer(); b.flip(); inside = arr(b);
            }
            inside = Arrays.copyOf(inside, inside.length - f.path("cut").asInt(0));
        }
        int count = f.path("count").asInt(f.has("deltas") ? f.get("deltas").size() : 2);
        ByteBuffer b = ByteBuffer.allocate(DefaultRecordBatch.RECORD_BATCH_OVERHEAD + inside.length);
        b.putLong(0).putInt(b.capacity() - 12).putInt(-1).put((byte) 2).putInt(0);
        b.putShort((short) f.path("attributes").asInt(0)).putInt(f.path("last").asInt(count - 1));
        b.putLong(f.has("times_ms") ? f.get("times_ms").get(0).asLong() : T).putLong(f.path("maxTimestamp").asLong(T));
        b.putLong(-1).putShort((short) -1).putInt(-1).putInt(count).put(inside).flip();
        b.putShort(21, (short) (b.getShort(21) | codec.id));
        b.putInt(17, (int) org.apache.kafka.common.utils.internals.Crc32C.compute(b, 21, b.capacity() - 21));
        return arr(b);
    }

    static byte[] batch(JsonNode b) throws IOException {
        if (b.has("forge")) return forge(b.get("forge"));
        byte magic = (byte) (b.has("magic") ? b.get("magic").asInt() : 2);
        CompressionType ct = CompressionType.forName(b.has("codec") ? b.get("codec").asText() : "none");
        Compression c = Compression.of(ct).build();
        long pid = b.has("pid") ? b.get("pid").asLong() : -1; short ep = (short) (b.has("epoch") ? b.get("epoch").asInt() : -1); int seq = b.has("seq") ? b.get("seq").asInt() : -1;
        boolean txn = b.has("txn"), ctl = b.has("control");
        TimestampType tt = b.has("append") ? TimestampType.LOG_APPEND_TIME : TimestampType.CREATE_TIME;
        ByteBuffer buf = ByteBuffer.allocate(4 << 20);
        long base = b.has("base") ? b.get("base").asLong() : 0;
        JsonNode recs = b.get("recs");
        if (recs == null || recs.isEmpty()) {
            ByteBuffer e = ByteBuffer.allocate(DefaultRecordBatch.RECORD_BATCH_OVERHEAD);
            DefaultRecordBatch.writeEmptyHeader(e, magic, pid, ep, seq, base, base, -1, tt, -1, txn, ctl);
            e.flip(); return arr(e);
        }
        try (MemoryRecordsBuilder m = new MemoryRecordsBuilder(buf, magic, c, tt, base, b.has("append") ? b.get("append").asLong() : -1, pid, ep, seq, txn, ctl, b.has("ple") ? b.get("ple").asInt() : -1, buf.capacity())) {
            for (JsonNode r : recs) {
                long ts = r.has(2) ? r.get(2).asLong() : T;
                List<Header> hs = new ArrayList<>();
                if (r.has(3)) for (JsonNode h : r.get(3)) hs.add(new RecordHeader(h.get(0).asText(), bytes(h.get(1))));
                if (magic < 2) m.append(ts, bytes(r.get(0)), bytes(r.get(1)));
                else m.append(ts, bytes(r.get(0)), bytes(r.get(1)), hs.toArray(new Header[0]));
            }
            byte[] out = arr(m.build().buffer());
            if (b.has("flip")) out[b.get("flip").asInt()] ^= 1;
            if (b.has("cut")) out = Arrays.copyOf(out, out.length - b.get("cut").asInt());
            return out;
        }
    }
    static JsonNode expand(JsonNode n) throws Exception {
        if (n.isObject()) {
            ObjectNode o = (ObjectNode) n;
            if (o.has("$r")) { List<byte[]> l = new ArrayList<>(); for (JsonNode b : o.get("$r")) l.add(batch(b)); return new BinaryNode(cat(l)); }
            if (o.has("$b")) return new BinaryNode(o.get("$b").asText().getBytes());
            if (o.has("$x")) return new BinaryNode(bytes(o));
            if (o.has("$gz")) {
                var packed = new ByteArrayOutputStream();
                try (OutputStream z = new java.util.zip.GZIPOutputStream(packed)) { z.write(new byte[o.get("$gz").asInt()]); }
                return new BinaryNode(packed.toByteArray());
            }
            if (o.has("$hex")) return new BinaryNode(HexFormat.of().parseHex(o.get("$hex").asText()));
            if (o.has("$sub")) {
                List<String> t = new ArrayList<>(); o.get("$sub").forEach(x -> t.add(x.asText()));
                List<TopicPartition> own = new ArrayList<>(); if (o.has("own")) o.get("own").forEach(x -> own.add(new TopicPartition(x.get(0).asText(), x.get(1).asInt())));
                return new BinaryNode(arr(ConsumerProtocol.serializeSubscription(new ConsumerPartitionAssignor.Subscription(t, null, own))));
            }
            if (o.has("$assign")) {
                List<TopicPartition> own = new ArrayList<>(); o.get("$assign").forEach(x -> own.add(new TopicPartition(x.get(0).asText(), x.get(1).asInt())));
                return new BinaryNode(arr(ConsumerProtocol.serializeAssignment(new ConsumerPartitionAssignor.Assignment(own))));
            }
            for (String k : names(o)) o.set(k, expand(o.get(k)));
        } else if (n.isArray()) { ArrayNode a = (ArrayNode) n; for (int i = 0; i < a.size(); i++) a.set(i, expand(a.get(i))); }
        return n;
    }
    static List<String> names(JsonNode o) { List<String> l = new ArrayList<>(); o.fieldNames().forEachRemaining(l::add); return l; }
}
