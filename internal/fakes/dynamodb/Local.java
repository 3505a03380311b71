import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.lang.reflect.Field;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import software.amazon.dynamodb.services.local.server.DynamoDBProxyServer;
import software.amazon.dynamodb.services.local.server.LocalDynamoDBRequestHandler;
import software.amazon.dynamodb.services.local.server.LocalDynamoDBServerHandler;
import software.amazon.dynamodb.services.local.shared.access.AmazonDynamoDBLocal;

/**
 * DynamoDB Local, in memory, on a free port of the loopback address, which the
 * stock launcher can do neither of. It answers each line that it is told:
 * "rollover" with "closed" once every shard of every stream is closed. It ends
 * with its input, so it never outlives the process that started it, and removes
 * the folder that its one argument names: not java.io.tmpdir, which is everybody's
 * where nobody set it.
 */
public final class Local {
    public static void main(String[] args) throws Exception {
        if (args.length != 1) {
            System.err.println("Local FOLDER: it is removed at the end");
            System.exit(2);
        }
        LocalDynamoDBRequestHandler requests = new LocalDynamoDBRequestHandler(0, true, null, true, false);
        DynamoDBProxyServer proxy = new DynamoDBProxyServer(0, new LocalDynamoDBServerHandler(requests, null));
        Server http = httpOf(proxy);
        ServerConnector door = (ServerConnector) http.getConnectors()[0];
        door.setHost("127.0.0.1");
        // The proxy's own start would send telemetry.
        http.start();
        System.out.println("port " + door.getLocalPort());
        try (BufferedReader told = new BufferedReader(new InputStreamReader(System.in))) {
            for (String line = told.readLine(); line != null; line = told.readLine()) {
                System.out.println(line.equals("rollover") ? rollover(requests) : "unknown: " + line);
            }
        } finally {
            remove(Path.of(args[0]));
            // Not a stop in good order: nothing is kept, and it would take a second.
            Runtime.getRuntime().halt(0);
        }
    }

    private static Server httpOf(DynamoDBProxyServer proxy) throws ReflectiveOperationException {
        for (Field f : DynamoDBProxyServer.class.getDeclaredFields()) {
            if (f.getType() == Server.class) {
                f.setAccessible(true);
                return (Server) f.get(proxy);
            }
        }
        throw new NoSuchFieldException("DynamoDBProxyServer has no Server: another version?");
    }

    private static String rollover(LocalDynamoDBRequestHandler requests) throws ReflectiveOperationException {
        var handler = LocalDynamoDBRequestHandler.class.getDeclaredMethod("getHandler", String.class);
        handler.setAccessible(true);
        ((AmazonDynamoDBLocal) handler.invoke(requests, "any")).triggerShardRollovers();
        return "closed";
    }

    private static void remove(Path folder) throws IOException {
        try (var all = Files.walk(folder)) {
            all.sorted(Comparator.reverseOrder()).forEach(p -> p.toFile().delete());
        }
    }
}
